"""What produced a result: the code, the versions, the machine."""

import hashlib
import json
import platform
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.datasets import DatasetIdentity
from harness.errors import InputError, hide_secrets
from harness.ledger.names import PLUGINS, PROVENANCE
from harness.plugins.source import OWN, Plugin
from harness.plugins.use import describe_plugins
from harness.storage.local import write_atomically, write_text_atomically
from models.numerics.machine import count_cores, name_cpu
from models.settings import SEMANTICS_VERSION

CODE_FOLDER = Path(__file__).resolve().parents[2]
"""Holds the packages that this process runs."""

SHIPPED_FROM = ".shipped-from.json"
"""In the code's folder, where a job brought the code along: the checkout that it comes from."""

TAGS = ("python", "host", "platform", "code.sha256", "git.commit", "git.dirty")
KINDS_OF_TAGS = ("version.", "plugin.")
"""What of an entry of the record MLflow's tags have, too."""

NODE = "node."  # in an entry of the record: another machine that trained

MAX_DIFF = 4_000  # characters kept of the uncommitted changes

PACKAGES = ("spikeslab", "torch", "torchvision", "ray", "optuna", "pandas", "mlflow", "numpy")


@cache
def hash_code() -> str:
    """SHA-256 of the names and contents of every file of our packages, as this process has them."""
    digest = hashlib.sha256()
    for path in sorted(path for name in OWN for path in (CODE_FOLDER / name).rglob("*.py")):
        digest.update(f"{path.relative_to(CODE_FOLDER).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def describe_provenance() -> Mapping[str, str]:
    """Git commit and dirty state of the code, package versions, Python and host, as MLflow tags."""
    tags = {
        "python": platform.python_version(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "code.sha256": hash_code(),
        "version.semantics": str(SEMANTICS_VERSION),
    }
    for package in PACKAGES:
        tags[f"version.{package}"] = _find_version(package)
    checkout = {name: value for name, value in describe_checkout().items() if name != "git.diff"}
    tags |= checkout
    if "git.dirty" in checkout:
        tags["mlflow.source.git.commit"] = checkout["git.commit"]
    return tags


def describe_study(dataset: DatasetIdentity, plugins: Sequence[Plugin]) -> dict[str, str]:
    """What a study trains on and with besides our code, as its record and MLflow's tags have it."""
    return {"dataset": dataset.name, "dataset.sha256": dataset.content_hash, **describe_plugins(plugins)}


def recall_provenance(folder: Path) -> Mapping[str, str]:
    """What trained a study last, by its record, as MLflow's tags; this process, where nothing is recorded.

    Raises:
        InputError: as of `read_provenance`.
    """
    record = read_provenance(folder)
    if not record:
        return describe_provenance()
    tags = {name: value for name, value in record[-1].items() if name in TAGS or name.startswith(KINDS_OF_TAGS)}
    return tags | ({"mlflow.source.git.commit": tags["git.commit"]} if "git.dirty" in tags else {})


def describe_machine() -> dict[str, str]:
    """The code and torch of this process, and its machine: what a trial's numbers can depend on."""
    machine = {"code.sha256": hash_code(), "cpu": name_cpu(), "cores": str(count_cores())}
    return machine | {"host": socket.gethostname(), "version.torch": _find_version("torch")}


def _find_version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def describe_checkout() -> dict[str, str]:
    """Git commit and dirty state of the checkout, with what is uncommitted of the code; of shipped code, where it was.

    It is cut short, and leaves changed studies out: they may hold an address that is a secret.
    """
    try:
        shipped = json.loads((CODE_FOLDER / SHIPPED_FROM).read_text(encoding="utf-8"))
        return {str(name): str(value) for name, value in shipped.items()}
    except (OSError, ValueError, AttributeError):
        pass
    # An installed package may lie in a checkout of something else, which does not track it.
    is_tracked = _git("ls-files", "--error-unmatch", Path(__file__).name) is not None
    commit = _git("rev-parse", "HEAD") if is_tracked else None
    if not commit:
        return {"git.commit": "not a git checkout"}
    changes = _git("status", "--porcelain")
    if not changes:
        return {"git.commit": commit, "git.dirty": "unknown" if changes is None else "false"}
    diff = hide_secrets(_git("diff", "HEAD", "--", *(str(CODE_FOLDER / name) for name in OWN)) or "")
    cut = diff if len(diff) <= MAX_DIFF else f"{diff[:MAX_DIFF]}\n... and {len(diff) - MAX_DIFF} more"
    return {"git.commit": commit, "git.dirty": "true", "git.diff": cut}


def record_provenance(folder: Path, tags: Mapping[str, str]) -> None:
    """Add the code, machine and study file that are about to train a study to its record, with the date.

    tags: see `describe_study`. Nothing is added where the last entry is the same but for its date.
    """
    entry = {name: value for name, value in describe_provenance().items() if name != "mlflow.source.git.commit"}
    entry |= {"cpu": name_cpu(), "cores": str(count_cores()), **tags}
    content = (folder / "study.yaml").read_bytes()  # without the address of `notify`
    entry |= {"study.sha256": hashlib.sha256(content).hexdigest(), "study": content.decode()}
    entry |= {name: value for name, value in describe_checkout().items() if name == "git.diff"}
    record = read_provenance(folder)
    if entry not in [_without_nodes_and_date(last) for last in record[-1:]]:
        dated = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **entry}
        write_text_atomically(folder / PROVENANCE, json.dumps([*record, dated], indent=1))


def store_plugins(folder: Path, plugins: Iterable[Plugin]) -> None:
    """Store the source of plug-ins beside the record, which has only their hashes."""
    for path, content in _list_sources(folder, plugins):
        write_atomically(path, partial(Path.write_bytes, data=content))


def locate_plugins(folder: Path, plugins: Iterable[Plugin]) -> list[Path]:
    """Find what `store_plugins` has stored of these."""
    return [path for path, _ in _list_sources(folder, plugins) if path.exists()]


def _list_sources(folder: Path, plugins: Iterable[Plugin]) -> Iterator[tuple[Path, bytes]]:
    for plugin in plugins:
        yield from ((folder / PLUGINS / plugin.sha256[:8] / path, content) for path, content in plugin.files)


def record_nodes(folder: Path, machines: Iterable[Mapping[str, str]]) -> None:
    """Add the machines that train a study, besides the one that started it, to the last entry of its record."""
    record = read_provenance(folder)
    if not record:
        return
    last = record[-1]
    others = [machine for machine in machines if machine["host"] != last["host"]]
    told = {
        f"{NODE}{m['host']}": ", ".join(f"{name} {m[name]}" for name in sorted(m.keys() - {"host"})) for m in others
    }
    if not told.items() <= last.items():
        write_text_atomically(folder / PROVENANCE, json.dumps([*record[:-1], last | told], indent=1))


def _without_nodes_and_date(entry: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in entry.items() if name != "date" and not name.startswith(NODE)}


def describe_changes(folder: Path, plugins: Mapping[str, str]) -> list[str]:
    """Say which plug-ins are not what they were in the last run of a study, or that its record cannot be read.

    plugins: the hashes of those that its trials train by, as in the record.
    """
    try:
        last = (read_provenance(folder) or [{}])[-1]
    except InputError as problem:
        return [str(problem)]
    return [
        f"{name.split('.')[1]} has changed since the last run ({last[name][:8]}, now {sha256[:8]}): what it makes is "
        "trained anew."
        for name, sha256 in plugins.items()
        if name in last and last[name] != sha256
    ]


def adopt_provenance(folder: Path, other: Path) -> None:
    """Put the record of another study, whose states this one takes over, before the record of this one."""
    record, adopted = read_provenance(folder), read_provenance(other)
    if new := [entry for entry in adopted if entry not in record]:
        write_text_atomically(folder / PROVENANCE, json.dumps([*new, *record], indent=1))


def read_provenance(folder: Path) -> list[dict[str, str]]:
    """Read the record of a study's folder, oldest first; empty if there is none.

    Raises:
        InputError: it is there, but cannot be read, so that whoever adds to it would lose it.
    """
    path = folder / PROVENANCE
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); see to its disk, and try again") from None
    except ValueError:
        record = None
    if not isinstance(record, list):
        raise InputError(
            f"{path}: it is damaged, and says no more what trained the study; move it elsewhere, and try again"
        )
    return [entry for entry in record if isinstance(entry, dict)]


def is_current(folder: Path) -> bool:
    """Whether what last trained a study, by its record, did so by today's semantics; not where nothing is recorded."""
    return [last.get("version.semantics") for last in read_provenance(folder)[-1:]] == [str(SEMANTICS_VERSION)]


def _git(*arguments: str) -> str | None:
    """Run git in the checkout that holds this code; None if that fails."""
    command = ["git", "-C", str(Path(__file__).resolve().parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
