"""What a job takes along to a cluster: our code, the study, its plug-ins; neither data nor results nor environment."""

import json
import shutil
from pathlib import Path

from harness.errors import InputError
from harness.ledger.provenance import CODE_FOLDER, SHIPPED_FROM, describe_checkout
from harness.plugins.source import OWN, Plugin

MAX_MEGABYTES = 100
"""Ray takes no larger package; ours is of a few megabytes."""


def pack(folder: Path, name: str, study_text: str, plugins: tuple[Plugin, ...]) -> None:
    """Fill an empty folder with all that a job needs. name: of the study, whose file is then NAME.yaml.

    Raises:
        InputError: the code's folder holds more than code.
    """
    for plugin in plugins:
        for path, content in plugin.files:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    (folder / f"{name}.yaml").write_text(study_text, encoding="utf-8")
    pack_code(folder)


def pack_code(folder: Path) -> None:
    """Copy our code into a folder.

    Raises:
        InputError: the code's folder holds more than code.
    """
    for package in OWN:
        shutil.copytree(CODE_FOLDER / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (folder / SHIPPED_FROM).write_text(json.dumps(describe_checkout()), encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.rglob("*")) / 1e6
    if size > MAX_MEGABYTES:
        raise InputError(
            f"{CODE_FOLDER}: {size:.0f} MB in {', '.join(OWN)}, too much to ship; move what is no code elsewhere"
        )
