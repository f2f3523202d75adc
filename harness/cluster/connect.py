"""The Ray cluster that a study runs on: one started on this machine, or one that is running already."""

import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.cluster import LOOPBACK
from harness.errors import InputError, first_line
from harness.interruption import keeping_handlers
from harness.ledger.provenance import CODE_FOLDER
from harness.storage.local import make_private, private_folder
from harness.storage.log_file import LogFile
from models.numerics.machine import count_cores

PROBE_SECONDS = 5.0

PRIVATE_NAMES = {
    "services": ("ConsolePopen", "get_node_ip_address"),
    "ray_constants": ("ENABLE_RAY_CLUSTER", "ENABLE_RAY_CLUSTERS_ENV_VAR"),
}
"""Of Ray's, by its modules: what we need to start Ray for this machine alone."""

_ours: set[str] = set()
"""Variables of the environment that are there for a Ray of this machine alone, while it runs."""

MAX_FOLDER = 36
"""Bytes, of the 107 of a socket's path: Ray adds `/ray/session_2026-01-31_12-00-00_000000_1234567/sockets/raylet`."""


def connect(address: str | None, num_cpus: int | None = None, *, code: Path | None = None) -> None:
    """Start Ray on this machine, or connect to the cluster at an address (or at $RAY_ADDRESS).

    num_cpus: of this machine; None for all that this process may use. code: a folder of code to ship to every machine
    of the cluster; None: they have ours.

    Raises:
        InputError: no cluster answers there, Ray cannot start or is of a version that lacks what we need, or other
            code than ours would train.
    """
    import ray
    from ray._private import worker
    from ray.job_config import JobConfig

    _check_names()
    _look_for_token_anew()
    worker.print_to_stdstream = _log_notice
    # Without `local` Ray joins any cluster it remembers.
    wanted = "local" if is_local(address) else str(address or os.environ["RAY_ADDRESS"])
    options: dict[str, Any] = {}
    if wanted == "local":
        _ours.update({"RAY_AUTH_TOKEN", "RAY_AUTH_MODE"} - os.environ.keys())  # Ray itself sets the mode
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray writes one into the user's home
        options = {"num_cpus": num_cpus or count_cores(), "include_dashboard": False, "_temp_dir": _find_short_folder()}
    if code is not None:
        options["runtime_env"] = {"working_dir": str(code)}
    elif not wanted.startswith("ray://"):
        options["job_config"] = JobConfig(_py_driver_sys_path=_OwnCode([str(CODE_FOLDER)]))
    with warnings.catch_warnings(), keeping_handlers(), _in_groups_of_their_own(), _on_loopback(wanted):
        warnings.simplefilter("ignore")  # Ray's own warnings, which the user cannot act on
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGXCPU, signal.SIG_IGN)  # so Ray's services outlive it, and store what is training
        try:
            ray.init(address=wanted, log_to_driver=False, logging_level=logging.ERROR, **options)
        except Exception as error:  # Ray raises many kinds, Exception itself among them
            reason = first_line(error).rstrip(".")
            if wanted != "local":
                raise _refuse(address, f"Ray cannot connect ({reason})") from None
            fix = "unset RAY_TMPDIR, or let it name a short folder of your own that can be written to"
            if "timed out" in reason:
                fix = "try again when less runs here"
            raise InputError(
                f"Ray cannot start on this machine ({reason}); {fix}, or use a running cluster with --address"
            ) from None


def disconnect() -> None:
    """End Ray, or leave the cluster; the token that a Ray of this machine had is none for the next cluster."""
    import ray

    ray.shutdown()
    for name in _ours:
        os.environ.pop(name, None)
    _ours.clear()


def _look_for_token_anew() -> None:
    """Let Ray forget the token and the mode that it found in this process before, for a Ray that has ended."""
    import ray

    if not ray.is_initialized():
        with suppress(ImportError, AttributeError):  # both are Ray's own
            raylet = import_module("ray._raylet")
            raylet.Config.initialize("")
            raylet.AuthenticationTokenLoader.instance().reset_cache()


def _check_names() -> None:
    import ray

    for module, names in PRIVATE_NAMES.items():
        for name in names:
            if not hasattr(import_module(f"ray._private.{module}"), name):
                raise InputError(
                    f"Ray {ray.__version__} is not as spikeslab knows it (its {module} has no {name}), and might "
                    "listen beyond this machine; install Ray 2.60: pip install 'ray[default,tune]==2.60.0'"
                )


def _log_notice(notice: dict[str, Any], **_: object) -> None:
    """Log what Ray would print of the cluster, in several lines and colours; what matters of it, we say ourselves."""
    logger = logging.getLogger("ray.notices")
    logger.setLevel(logging.WARNING)  # of its own, as `connect` lets nothing but errors of Ray's through
    logger.warning("%s", "\n".join(notice["lines"]))


class _OwnCode(list[str]):
    """Where workers look for code first. Ray adds the current folder, whose packages may have our packages' names."""

    def extend(self, _: object) -> None:
        """Stay as it is."""


def _find_short_folder() -> str | None:
    """Find a place for Ray's folder, whose sockets' paths are short of room; None: where the user wants it.

    Ray lets everyone write in its folder: it stands in one that only this user opens.

    Raises:
        InputError: there is none.
    """
    if "RAY_TMPDIR" in os.environ:
        return None
    for shared in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):  # noqa: S108 (a private one in it)
        folder = private_folder(Path(shared))
        if len(os.fsencode(folder)) <= MAX_FOLDER and os.access(shared, os.W_OK):
            with suppress(InputError):  # another user has taken the name
                make_private(folder)
                return f"{folder}/ray"
    raise InputError("Ray finds no folder for its sockets; name a short one of your own with RAY_TMPDIR")


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


@contextmanager
def _on_loopback(address: str) -> Iterator[None]:
    """Start Ray's services so that only this machine reaches them, where they are for a study of this machine.

    Who connects to such a Ray has to do likewise: Ray replaces 127.0.0.1 by the machine's public address.
    """
    from ray._private import ray_constants, services

    host, _, port = address.rpartition(":")
    is_loopback = host in LOOPBACK and not answers(f"{services.get_node_ip_address()}:{port}")
    if address != "local" and not is_loopback:
        yield
        return
    name, before = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, ray_constants.ENABLE_RAY_CLUSTER
    os.environ[name], ray_constants.ENABLE_RAY_CLUSTER = "0", False  # the variable is for the services
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        del os.environ[name]


def check_interpreter() -> None:
    """Check that Python kept its docstrings: Ray edits its own as it is imported.

    Raises:
        InputError: it was told to strip them.
    """
    if sys.flags.optimize > 1:
        raise InputError("PYTHONOPTIMIZE, or python -OO, strips docstrings, without which Ray cannot start; unset it")


def check_address(address: str | None) -> None:
    """Check that a cluster answers at the address, or at $RAY_ADDRESS if none is given. Call `quieten_ray` before.

    Raises:
        InputError: nothing answers there, no Ray does, or one that wants a token or is of another version.
    """
    wanted = address or os.environ.get("RAY_ADDRESS")
    if not wanted:
        return
    if not answers(wanted):
        raise _refuse(address, "no Ray cluster answers there")
    place = _locate(wanted)
    if place is not None and "://" not in wanted:  # ray:// is another protocol
        from harness.cluster.greeting import find_refusal

        _look_for_token_anew()
        if (reason := find_refusal(place)) is not None:
            raise InputError(f"{_name_origin(address)}: {reason}")


def check_not_elsewhere(address: str | None) -> None:
    """Check that the program which runs a study has not connected to another Ray than that of the address.

    Raises:
        InputError: it has, and the study would run there.
    """
    if not address:
        return
    import ray

    if ray.is_initialized() and (other := ray.get_runtime_context().gcs_address) != address:
        raise InputError(
            f"{address}: this process is connected to a Ray already, at {other}; call ray.shutdown() first, or leave "
            "address out"
        )


def _refuse(address: str | None, reason: str) -> InputError:
    """Make the error about a wrong --address or $RAY_ADDRESS."""
    way_out = "leave --address out" if address else "unset RAY_ADDRESS"
    start = f"start one with `ray start --head`, or {way_out} to use this machine"
    return InputError(f"{_name_origin(address)}: {reason}; {start}")


def _name_origin(address: str | None) -> str:
    return f"--address {address}" if address else f"RAY_ADDRESS={os.environ['RAY_ADDRESS']}"


def is_local(address: str | None) -> bool:
    """Whether a study at this --address, or at $RAY_ADDRESS, starts Ray on this machine."""
    return (address or os.environ.get("RAY_ADDRESS") or "local") == "local"


def is_job() -> bool:
    """Whether this process was started as a job of a cluster."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def answers(address: str) -> bool:
    """Whether anything listens at the address; Ray itself would try for minutes, and then end the process."""
    place = _locate(address)
    if place is None:
        return address != "auto"  # "local", or none that Ray understands, as it says at once
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=PROBE_SECONDS):
            return True
    except (OSError, ValueError, OverflowError):  # nothing listens, or it is not an address
        return False


def _locate(address: str) -> str | None:
    """HOST:PORT of an address; None where it is none, as of a cluster that Ray remembers and that is not there."""
    if address == "auto":
        from ray._private.services import canonicalize_bootstrap_address

        try:
            address = str(canonicalize_bootstrap_address(address))
        except ConnectionError:
            return None
    place = address.rpartition("://")[2]
    _, colon, port = place.rpartition(":")
    return place if colon and port.isdecimal() else None


def quieten_ray() -> None:
    """Turn off Ray's output, notices, loggers and what was set for other programs; call this before Ray is imported."""
    for name in list(os.environ):
        if name.startswith(("TUNE_", "RAY_AIR_", "RAY_TRAIN_", "RAY_RUNTIME_ENV_HOOK", "RAY_LOG_TO_STDERR")):
            del os.environ[name]
    os.environ |= {
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    }
    # Of notebooks without ipywidgets, which nothing here needs.
    logging.getLogger("ray.widgets.util").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="IProgress not found")


def redirect_log(path: Path) -> logging.Handler:
    """Send Ray's logs in the driver to a file, as we report the death of a trial's process ourselves."""
    handler = LogFile(path, mode="w", encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
    return handler
