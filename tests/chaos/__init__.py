"""Studies on a real cluster, each hit by one fault at a random moment: `python -m tests.chaos --rounds 2`.

Each study ends complete, run again where its fault ended the run, and equal to the bit to one that nothing disturbed.
Its results lie in a folder that all machines see, or in a bucket, in turn. Needs root.
"""
