"""What has been trained: trials, results, the folder of each trial, the tables of a study, provenance."""
