"""One file an objective: what a training step minimises."""
