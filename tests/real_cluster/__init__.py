"""A cluster as in the field, on one machine: machines that share nothing, a bucket, an MLflow server. Needs root."""
