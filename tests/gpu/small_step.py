"""A step of a small mixed stack on the device of the tests: what compute-sanitizer watches."""

from tests.gpu.test_device import IMAGES, TRIALS, make_stack
from tests.models.cases import DEVICE

if __name__ == "__main__":
    outcomes = make_stack(TRIALS, len(TRIALS)).fit_epoch(IMAGES[:8].to(DEVICE))
    print(outcomes[0])
