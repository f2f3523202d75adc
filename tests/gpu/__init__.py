"""What takes a graphics card, as one command: `make gpu`, or `python -m tests.gpu` where only PyTorch is installed.

The tests here and the conformance suite of trainers run on the device that `SPIKESLAB_DEVICE` names, by default the
CPU: so `make test` runs them too.
"""
