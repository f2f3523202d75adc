"""Studies of Variational Sparse Coding: from a study file to trials, runs and tables."""
