"""The Ray cluster that a study runs on: one started on this machine, or one that is running already."""

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from harness.errors import InputError, first_line
from harness.interruption import keeping_handlers
from harness.study.sections import Resources

PROBE_SECONDS = 5.0


def connect(address: str | None, num_cpus: int | None = None) -> None:
    """Start Ray on this machine, or connect to the cluster at an address (or at $RAY_ADDRESS).

    Raises:
        InputError: no cluster answers there.
    """
    import ray

    wanted = address or os.environ.get("RAY_ADDRESS") or None
    with warnings.catch_warnings(), keeping_handlers(), _in_groups_of_their_own():
        warnings.simplefilter("ignore")  # Ray's own warnings, which the user cannot act on
        try:
            ray.init(
                address=wanted,
                num_cpus=num_cpus,
                include_dashboard=None if wanted else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            if wanted is None:
                raise
            raise _refuse(address, f"Ray cannot connect ({first_line(error).rstrip('.')})") from None


@contextmanager
def _in_groups_of_their_own() -> Iterator[None]:
    """Start Ray's services outside our process group.

    A signal to the group, from a terminal that closes or from `timeout`, is then for this process alone, which still
    needs them to store what is training.
    """
    from ray._private import services

    plain = services.ConsolePopen
    services.ConsolePopen = partial(plain, process_group=0)
    try:
        yield
    finally:
        services.ConsolePopen = plain


def check_address(address: str | None) -> None:
    """Check that a cluster answers at the address, or at $RAY_ADDRESS if none is given.

    Raises:
        InputError: nothing answers there.
    """
    wanted = address or os.environ.get("RAY_ADDRESS")
    if wanted and not _answers(wanted):
        raise _refuse(address, "no Ray cluster answers there")


def _refuse(address: str | None, reason: str) -> InputError:
    """Make the error about a wrong --address or $RAY_ADDRESS."""
    origin = f"--address {address}" if address else f"RAY_ADDRESS={os.environ['RAY_ADDRESS']}"
    way_out = "leave --address out" if address else "unset RAY_ADDRESS"
    return InputError(f"{origin}: {reason}; start one with `ray start --head`, or {way_out} to use this machine")


def _answers(address: str) -> bool:
    """Whether anything listens at the address; Ray itself would try for minutes, and then end the process."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():
        return True  # "auto" and "local", which Ray answers at once
    try:
        with socket.create_connection((host, int(port)), timeout=PROBE_SECONDS):
            return True
    except (OSError, ValueError, OverflowError):  # nothing listens, or it is not an address
        return False


def quieten_ray() -> None:
    """Turn off Ray's output, notices and loggers; call this before Ray is imported."""
    os.environ |= {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    }


def redirect_log(path: Path) -> logging.Handler:
    """Send Ray's logs in the driver to a file, as we report the death of a trial's process ourselves."""
    handler = logging.FileHandler(path, mode="w", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
    return handler


def count_slots(resources: Resources) -> int:
    """Count the trials that the cluster can run at once.

    Raises:
        InputError: it has no room for a single trial.
    """
    import ray

    available = ray.cluster_resources()
    assert resources.gpu != "auto"
    wanted = {"CPU": resources.num_cpus, "GPU": resources.gpu}
    slots = min(int(available.get(kind, 0) / amount) for kind, amount in wanted.items() if amount)
    if slots < 1:
        has = ", ".join(f"{available.get(kind, 0):g} {kind}" for kind in wanted)
        raise InputError(
            f"resources: a trial asks for {wanted['CPU']:g} CPU and {wanted['GPU']:g} GPU, but "
            f"this machine or cluster has {has}; ask for less with --set resources.gpu=0 or resources.cpu=1"
        )
    return slots
