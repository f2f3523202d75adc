"""How torch computes here: threads, products, Adam, the processor."""
