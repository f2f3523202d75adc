"""What a process does with one trial, or an engine with many: train, measure, store. Knows nothing of Ray."""
