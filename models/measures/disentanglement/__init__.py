"""Disentanglement of codes, one metric per file: whether each latent stands for one factor of the images.

Each metric reads a `CodeTable`, which is made once per model. The protocols are those of disentanglement_lib (Locatello
et al., Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations, ICML 2019), at
commit 86a644d, where a file names no other. Scores are only comparable within one implementation.

Needs scikit-learn besides torch, which each file imports where it computes.
"""
