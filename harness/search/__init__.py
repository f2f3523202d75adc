"""Where trials come from: lists made beforehand, Optuna, populations, confirmation."""
