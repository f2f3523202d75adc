"""How models train."""
