"""One file a latent: its posterior, its prior, its samples and its rate."""
