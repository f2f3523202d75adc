"""Kinds of latent variables, one per file: posterior, prior, samples and rate."""
