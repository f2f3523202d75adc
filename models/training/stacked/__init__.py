"""Many fully connected models trained as one, on gradients written out."""
