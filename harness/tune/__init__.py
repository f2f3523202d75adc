"""Run the open trials of a study under Ray Tune."""
