"""Measures of a trained model, one kind per file."""
