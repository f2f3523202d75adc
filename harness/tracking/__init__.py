"""MLflow: a run for each trial, kept up to date as the study goes."""
