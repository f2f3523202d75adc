"""What `from harness import ...` gives: studies from Python, such as a notebook."""
