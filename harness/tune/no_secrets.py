"""Keys of a bucket, which Tune would put on the command lines of trials' processes: all on a machine may read those."""

from collections.abc import Iterator
from contextlib import contextmanager

from ray.tune.execution import class_cache


@contextmanager
def no_secrets_handed_on() -> Iterator[None]:
    """Let Tune hand on its own settings alone; each machine takes the credentials of its own."""
    before = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in before if not name.startswith("AWS_")}
    try:
        yield
    finally:
        class_cache.ENV_VARS_TO_PROPAGATE = before
