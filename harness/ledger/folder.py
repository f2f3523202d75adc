"""What has been trained: trials by the hash of their content, each with a folder that holds all there is of it.

results/<study>/trials/<training_id>/epoch-20.safetensors   parameters, Adam's moments; the epochs so far in its header
                                     result-25.json         written once, when the trial of 25 epochs has ended
                                     log.txt

Trials that differ only in how long they train share a folder, and with it the training: the state that ends one is
where the next longer one goes on. So do the studies of one results folder: what one has trained or measured of a trial,
another takes over.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.ledger.result import Result, Row
from harness.ledger.trial import Trial
from harness.storage.local import write_atomically, write_text_atomically

if TYPE_CHECKING:
    from torch import Tensor


CHECKPOINT = re.compile(r"epoch-(\d+)\.safetensors")
EXHIBITS = "exhibits"
"""The folder of a study that holds each trial's arrays for the qualitative figures."""


class TrialFolder:
    """Where one trial keeps its states, its result and its log."""

    def __init__(self, study_folder: Path, trial: Trial) -> None:
        self.path = study_folder / "trials" / trial.training_id
        self.log = self.path / "log.txt"
        self.exhibits = study_folder / EXHIBITS / f"{trial.trial_id}.npz"
        self._epochs = trial.settings.epochs
        self._is_of_population = bool(trial.population)
        self._result = self.path / f"result-{self._epochs}.json"

    def write_result(self, result: Result) -> None:
        """Record how the trial ended."""
        write_text_atomically(self._result, json.dumps(asdict(result), allow_nan=False))

    def read_result(self) -> Result | None:
        """How the trial ended; None if it has not, or if the file cannot be read (the trial then goes on).

        Exhibits that are gone count as not made.
        """
        result = _read_result(self._result)
        if result is None or EXHIBITS not in result.evaluated or self.exhibits.exists():
            return result
        return replace(result, evaluated=[name for name in result.evaluated if name != EXHIBITS])

    def read_measured(self, taken_from: Path | None) -> list[Result]:
        """What was measured of the trial's last state, here and where it was taken from: it need not be measured again.

        Not in any other study: the same training on another device comes to another model.
        """
        folders = [self.path] if taken_from is None else [self.path, taken_from]
        results = (_read_result(folder / self._result.name) for folder in folders)
        return [result for result in results if result is not None]

    def forget_result(self) -> None:
        """Let the trial be open again; its states stay."""
        self._result.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove all there is of the trial but its log."""
        for path in _list_files(self.path):
            if path != self.log:
                path.unlink(missing_ok=True)

    def list_checkpoints(self) -> list[Path]:
        """The stored states that this trial can go on from, the furthest first."""
        return self._pick_states([self.path])

    def list_states(self) -> list[Path]:
        """The same, and those that other studies of the same results hold of this training, each study's own first."""
        return self._pick_states([self.path, *self._list_twins()])

    def _pick_states(self, folders: Iterable[Path]) -> list[Path]:
        paths = [path for folder in folders for path in _list_files(folder) if CHECKPOINT.fullmatch(path.name)]
        return sorted((path for path in paths if _epoch_of(path) <= self._epochs), key=_epoch_of, reverse=True)

    def _list_twins(self) -> list[Path]:
        """Where other studies of the same results keep this training; a population's is its own study's affair."""
        if self._is_of_population:
            return []
        own, results = self.path.parent.parent, self.path.parent.parent.parent
        twins = (study / "trials" / self.path.name for study in sorted(_list_files(results)) if study != own)
        return [twin for twin in twins if twin.is_dir()]

    def write_checkpoint(self, tensors: Mapping[str, "Tensor"], history: Sequence[Row]) -> None:
        """Store the training state and the epochs that led to it, in one file that is whole or not there.

        Earlier states go, but for those that a shorter trial ended with.
        """
        from safetensors.torch import save

        header = {"history": json.dumps(list(history), allow_nan=False)}
        contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        newest = self.path / f"epoch-{len(history)}.safetensors"
        # Not by safetensors' own way to a file: what a kill leaves of that has a name that nobody knows.
        write_atomically(newest, lambda path: path.write_bytes(save(contiguous, metadata=header)))
        for path in self.list_checkpoints():
            epoch = _epoch_of(path)
            if epoch < len(history) and not (self.path / f"result-{epoch}.json").exists():
                path.unlink(missing_ok=True)

    def count_stored_epochs(self) -> int:
        """Epochs that a later run need not train again."""
        return len(self.read_history())

    def count_own_epochs(self) -> int:
        """The same, where this study stored them itself; 0 where the trial goes on from what another has stored."""
        state, epochs = self.find_state()
        return len(epochs) if state is not None and state.parent == self.path else 0

    def read_history(self) -> list[Row]:
        """The stored epochs that this trial can go on from."""
        return self.find_state()[1]

    def find_state(self) -> tuple[Path | None, list[Row]]:
        """The stored state that this trial goes on from, wherever it is, and the epochs that led to it."""
        return next(((path, rows) for path in self.list_states() if (rows := _read_history(path))), (None, []))


def _list_files(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read_result(path: Path) -> Result | None:
    try:
        return Result(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def read_checkpoint(path: Path) -> tuple[dict[str, "Tensor"], list[Row]]:
    """A stored state and its history.

    Raises:
        ValueError: the file is cut short or is not a checkpoint.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            history = json.loads((file.metadata() or {})["history"])
            history[-1]["step"]  # what training goes on from
            return {name: file.get_tensor(name) for name in file.keys()}, history  # noqa: SIM118
    except (SafetensorError, LookupError, ValueError, TypeError, OSError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None


def _epoch_of(checkpoint: Path) -> int:
    return int(checkpoint.stem.removeprefix("epoch-"))


def _read_history(checkpoint: Path) -> list[Row]:
    """The epochs that led to a stored state, by its header alone; none if it cannot be read."""
    try:
        with checkpoint.open("rb") as file:  # the header: its length, then JSON
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return list(json.loads(header["__metadata__"]["history"]))
    except (OSError, ValueError, KeyError, TypeError, MemoryError, OverflowError, RecursionError):
        return []


def take_over(donor: TrialFolder, loser: TrialFolder, epoch: int) -> None:
    """Put the donor's state after an epoch in the place of the loser's, whose own history stays with it.

    Both are of the same architecture. Nothing else of the loser's is touched, and doing so again changes nothing.
    """
    from safetensors import safe_open
    from safetensors.numpy import save

    name = f"epoch-{epoch}.safetensors"
    history = json.dumps(_read_history(loser.path / name), allow_nan=False)
    with safe_open(donor.path / name, framework="np") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    write_atomically(loser.path / name, lambda path: path.write_bytes(save(tensors, metadata={"history": history})))
