"""The Ray cluster a study runs on: this machine's own, or one that is there already."""

import logging
import os
import socket
import warnings
from pathlib import Path

from harness.errors import InputError, first_line
from harness.study.sections import Resources

PROBE_SECONDS = 5.0


def connect(address: str | None, num_cpus: int | None = None) -> None:
    """Start Ray on this machine, or connect to the cluster at an address (or at $RAY_ADDRESS).

    Raises:
        InputError: no cluster answers there.
    """
    import ray

    wanted = address or os.environ.get("RAY_ADDRESS") or None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, which the user can do nothing about
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


def check_address(address: str | None) -> None:
    """See that a cluster answers at the address, or at $RAY_ADDRESS where none is given.

    Raises:
        InputError: nothing answers there.
    """
    wanted = address or os.environ.get("RAY_ADDRESS")
    if wanted and not _answers(wanted):
        raise _refuse(address, "no Ray cluster answers there")


def _refuse(address: str | None, reason: str) -> InputError:
    """What is wrong with the address given, or with $RAY_ADDRESS, and what to do."""
    origin = f"--address {address}" if address else f"RAY_ADDRESS={os.environ['RAY_ADDRESS']}"
    way_out = "leave --address out" if address else "unset RAY_ADDRESS"
    return InputError(f"{origin}: {reason}; start one with `ray start --head`, or {way_out} to use this machine")


def _answers(address: str) -> bool:
    """Whether anything listens there: Ray itself would try for minutes, and then end the process."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():
        return True  # "auto" and "local", which Ray looks into at once
    try:
        with socket.create_connection((host, int(port)), timeout=PROBE_SECONDS):
            return True
    except (OSError, ValueError, OverflowError):  # nobody there, or no address at all
        return False


def quieten_ray() -> None:
    """Before Ray is imported: its output, its notices and its loggers off."""
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
    """Send what Ray's driver side logs to a file: a trial's death is told in our own words."""
    handler = logging.FileHandler(path, mode="w", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
    return handler


def count_slots(resources: Resources) -> int:
    """How many trials the cluster runs at once.

    Raises:
        InputError: not even one.
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
