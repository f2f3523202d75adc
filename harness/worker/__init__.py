"""What a process does with one trial, or an engine with many: train, measure, store. Does not use Ray."""
