"""Stacks: several fully connected models trained as one, on gradients written out by hand."""
