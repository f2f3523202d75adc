"""How torch computes: threads, matrix products, Adam, the machine."""
