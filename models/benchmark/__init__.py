"""How fast this machine trains, beside a plain PyTorch loop: `python -m models.benchmark`, which needs torch alone."""
