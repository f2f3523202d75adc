"""What has been trained: trials by the hash of their content, each with a folder that holds all there is of it.

results/<study>/trials/<trial_id>/checkpoint.safetensors   parameters, Adam's moments; epochs so far in its header
                                  result.json              written once, when the trial has ended
                                  log.txt
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.files import write_atomically, write_text_atomically
from models.settings import SEMANTICS_VERSION, TrialSettings

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

Status = Literal["running", "finished", "stopped", "diverged", "failed"]
Row = dict[str, float | int | None]
"""Metrics of one epoch, by name; `epoch` counts from 1."""


@dataclass(frozen=True)
class Trial:
    """One configuration and one seed, on one dataset."""

    settings: TrialSettings
    dataset: str
    dataset_hash: str

    @cached_property
    def trial_id(self) -> str:
        """A hash of all that determines the trial's numbers; it names the folder, the row and the MLflow run."""
        content = {
            "settings": self.settings.to_dict(),
            "dataset": self.dataset_hash,
            "semantics": SEMANTICS_VERSION,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def label(self) -> str:
        """The trial in a few words, for people."""
        s = self.settings
        alpha = f" alpha {s.alpha:g}" if s.alpha is not None else ""
        return f"{s.model}{alpha} latent {s.latent_dim} seed {s.seed} ({self.trial_id[:6]})"


@dataclass(frozen=True)
class Measures:
    """What a trial measures, and when it stores its state; none of it changes how the model trains."""

    evaluate: tuple[str, ...]
    iw_samples: int
    checkpoint_every: int

    @property
    def evaluated(self) -> list[str]:
        """What a finished trial has measured, each with what its numbers depend on."""
        return [f"iw_bound@{self.iw_samples}" if name == "iw_bound" else name for name in self.evaluate]


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a trial ended, or where it stands."""

    status: Status
    history: list[Row] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)  # of the final evaluation
    evaluated: list[str] = field(default_factory=list)  # which evaluations `metrics` holds
    error: str | None = None
    peak_memory_mb: float | None = None
    device: str | None = None
    host: str | None = None

    @property
    def epochs_trained(self) -> int:
        """Epochs that the history holds."""
        return len(self.history)

    @property
    def train_seconds(self) -> float:
        """Time spent in training steps, evaluation left out."""
        return sum(float(row["seconds"] or 0) for row in self.history)


class TrialFolder:
    """Where one trial keeps its checkpoint, its result and its log."""

    def __init__(self, study_folder: Path, trial_id: str) -> None:
        self.path = study_folder / "trials" / trial_id
        self.checkpoint = self.path / "checkpoint.safetensors"
        self.log = self.path / "log.txt"
        self._result = self.path / "result.json"

    def write_result(self, result: Result) -> None:
        """Record how the trial ended."""
        write_text_atomically(self._result, json.dumps(asdict(result), allow_nan=False))

    def read_result(self) -> Result | None:
        """How the trial ended; None if it has not, or if the file cannot be read (the trial then goes on)."""
        try:
            return Result(**json.loads(self._result.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write_checkpoint(self, tensors: Mapping[str, "Tensor"], history: Iterable[Row]) -> None:
        """Store the training state and the epochs that led to it, in one file that is whole or not there."""
        from safetensors.torch import save_file

        header = {"history": json.dumps(list(history), allow_nan=False)}
        contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        write_atomically(self.checkpoint, lambda path: save_file(contiguous, path, metadata=header))

    def read_checkpoint(self) -> tuple[dict[str, "Tensor"], list[Row]] | None:
        """The stored state and its history; None if there is none.

        Raises:
            ValueError: the file is cut short or is not a checkpoint.
        """
        from safetensors import SafetensorError, safe_open

        if not self.checkpoint.exists():
            return None
        try:
            with safe_open(self.checkpoint, framework="pt") as file:
                history = json.loads((file.metadata() or {})["history"])
                history[-1]["step"]  # what training goes on from
                return {name: file.get_tensor(name) for name in file.keys()}, history  # noqa: SIM118
        except (SafetensorError, LookupError, ValueError, TypeError, OSError) as error:
            raise ValueError(f"{self.checkpoint}: cannot be read ({error})") from None

    def count_stored_epochs(self) -> int:
        """Epochs that a later run need not train again."""
        try:
            with self.checkpoint.open("rb") as file:  # only the header: its length, then JSON
                header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            return len(json.loads(header["__metadata__"]["history"]))
        except (OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError, RecursionError):
            return 0


def needs_training(result: Result | None, *, evaluate: Iterable[str], stops_early: bool) -> bool:
    """Whether a trial has to run: it never ended, failed, was stopped by a scheduler that is gone, or lacks a measure.

    A trial that ended but lacks a measure goes on from its checkpoint: nothing is trained twice.
    """
    if result is None or result.status in ("failed", "running"):
        return True
    if result.status == "stopped":
        return not stops_early
    return result.status == "finished" and not set(evaluate) <= set(result.evaluated)


TRIAL_COLUMNS: Mapping[str, str] = {
    "trial_id": "string",
    "study": "string",
    "status": "string",
    "dataset": "string",
    "model": "string",
    "latent_dim": "Int64",
    "alpha": "float64",
    "gamma_link": "string",
    "sharpness_schedule": "string",
    "beta": "float64",
    "hidden": "string",  # a JSON list
    "learning_rate": "float64",
    "batch_size": "Int64",
    "epochs": "Int64",
    "precision": "string",
    "num_validation": "Int64",
    "seed": "Int64",
    "epochs_trained": "Int64",
    "mlflow_run_id": "string",
    "train_seconds": "float64",
    "peak_memory_mb": "float64",
    "error": "string",
}
"""The columns every trials table has; the final metrics stand behind them, as float64."""


def build_tables(
    study: str,
    trials: Iterable[tuple[Trial, Result]],
    run_ids: Mapping[str, str],
) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """The two tables, one row per trial and one per trial and epoch, in the order of the trials."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    history: list[dict[str, Any]] = []
    for trial, result in trials:
        settings = trial.settings.to_dict()
        rows.append(
            settings
            | {
                "trial_id": trial.trial_id,
                "study": study,
                "status": result.status,
                "dataset": trial.dataset,
                "hidden": json.dumps(settings["hidden"]),
                "epochs_trained": result.epochs_trained,
                "mlflow_run_id": run_ids.get(trial.trial_id),
                "train_seconds": result.train_seconds,
                "peak_memory_mb": result.peak_memory_mb,
                "error": result.error,
            }
            | result.metrics
        )
        history += [{"trial_id": trial.trial_id, **row} for row in result.history]
    metrics = sorted({name for row in rows for name in row} - set(TRIAL_COLUMNS))
    trials_table = pd.DataFrame(rows, columns=[*TRIAL_COLUMNS, *metrics])
    trials_table = trials_table.astype({**TRIAL_COLUMNS, **dict.fromkeys(metrics, "float64")})
    names = sorted({name for row in history for name in row} - {"trial_id", "epoch"})
    history_table = pd.DataFrame(history, columns=["trial_id", "epoch", *names])
    types = {"trial_id": "string", "epoch": "Int64", **dict.fromkeys(names, "float64")}
    return trials_table, history_table.astype(types)


def write_tables(folder: Path, tables: tuple["pd.DataFrame", "pd.DataFrame"]) -> list[Path]:
    """Write both tables, each atomically; returns their paths."""
    paths = [folder / "trials.parquet", folder / "history.parquet"]
    for path, table in zip(paths, tables, strict=True):
        write_atomically(path, lambda temporary, table=table: table.to_parquet(temporary, index=False))  # type: ignore[misc]
    return paths


def drop_nonfinite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without entries that are not finite numbers: JSON and MLflow have no place for those."""
    return {k: v for k, v in values.items() if isinstance(v, int | str) or (v is not None and math.isfinite(v))}
