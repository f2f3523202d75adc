"""Sparse variational autoencoders and their training, in pure PyTorch."""
