"""What a run records of its dataset: results are read by it where the images of a plug-in's dataset are not there."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

from harness.datasets import DATASET_NAMES, DatasetIdentity, identify_dataset
from harness.ledger.names import DATASET
from harness.storage.local import write_text_atomically


@dataclass(frozen=True)
class RecordedDataset:
    """What identifies a dataset; see `DatasetIdentity`."""

    name: str
    content_hash: str
    num_train: int
    image_shape: tuple[int, int, int]
    factors: tuple[str, ...]


def record_dataset(folder: Path, dataset: DatasetIdentity) -> None:
    """Record in a study's folder what identifies the dataset that it is about to train on."""
    content = {field.name: getattr(dataset, field.name) for field in fields(RecordedDataset)}
    write_text_atomically(folder / DATASET, json.dumps(content))


def recall_dataset(name: str, folder: Path) -> DatasetIdentity:
    """Look up what identifies a dataset; of a plug-in's, what the last run of a study recorded, if that is there.

    Raises:
        InputError: it is recorded nowhere, and cannot be loaded.
    """
    recorded = None if name in DATASET_NAMES else _read(folder / DATASET)
    return recorded if recorded is not None and recorded.name == name else identify_dataset(name)


def _read(file: Path) -> RecordedDataset | None:
    """Read a record; None where there is none, or it is damaged: then the dataset itself is asked."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        channels, height, width = map(int, found["image_shape"])
        factors = tuple(map(str, found["factors"]))
        shape = channels, height, width
        return RecordedDataset(found["name"], str(found["content_hash"]), int(found["num_train"]), shape, factors)
    except (OSError, ValueError, LookupError, TypeError):
        return None
