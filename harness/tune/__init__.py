"""One run of Ray Tune over what is open of a study."""
