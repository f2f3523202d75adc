"""Training objectives, one per file: what a training step minimises."""
