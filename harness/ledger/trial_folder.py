"""The folder of a trial, named by the hash of what was trained: its states, its result and its log.

results/<study>/trials/<training_id>/epoch-20.safetensors   parameters, Adam's moments; the epochs so far in its header
                                     epoch-20.header        that header alone, where the results are kept elsewhere
                                     result-25.json         written once, when the trial of 25 epochs has ended
                                     began-25.json          written once, when a process first took up that trial
                                     log.txt

Trials that differ only in their number of epochs share a folder, and so the training: a longer trial resumes from the
state that the shorter one ended with. Studies of one results folder share, too: a study takes over what another has
trained or measured of the same trial.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.ledger.fetching import fetch_trials
from harness.ledger.names import EXHIBITS, HEADER, LOG, STATE, STATE_OR_HEADER, TRIALS, epoch_of
from harness.ledger.result import Result, Row
from harness.ledger.trainings import Trainings, find_twins_in_bucket
from harness.ledger.trial import Trial
from harness.metrics import ARRAY_EVALUATIONS, Evaluation, evaluation_of
from harness.storage.local import write_atomically, write_copy, write_text_atomically
from harness.storage.objects import in_parallel
from harness.storage.place import HERE, Place

if TYPE_CHECKING:
    from torch import Tensor

LENDER = "lender"  # in the header of a state: see `write_checkpoint`


class TrialFolder:
    """Reads and writes the states, the result and the log of one trial."""

    def __init__(
        self, study_folder: Path, trial: Trial, place: Place = HERE, *, trainings: Trainings | None = None
    ) -> None:
        """place: keeps what is written, where the folder is only this machine's.

        trainings: of these results, where they were listed for many trials; else this trial looks for itself.
        """
        self._place, self._trainings = place, trainings
        self.path = study_folder / TRIALS / trial.training_id
        self.log = self.path / LOG
        self.arrays: Mapping[Evaluation, Path] = {
            name: study_folder / EXHIBITS / f"{trial.trial_id}{'' if name == EXHIBITS else f'-{name}'}.npz"
            for name in ARRAY_EVALUATIONS
        }
        self._epochs = trial.settings.epochs
        self._is_of_population = bool(trial.population)
        self._result = self.path / f"result-{self._epochs}.json"
        self._beginning = self.path / f"began-{self._epochs}.json"

    def write_result(self, result: Result) -> None:
        """Record how the trial ended."""
        write_text_atomically(self._result, json.dumps(asdict(result), allow_nan=False))
        self._place.share(self._result)

    def take_in(self, result: Result) -> None:
        """Note here the end that another process reported, which has stored it; nothing is to be done if we see that.

        Its arrays come along.
        """
        if not self._place.is_remote:
            return
        write_copy(self._result, json.dumps(asdict(result), allow_nan=False).encode())
        for name, path in self.arrays.items():
            if name in map(evaluation_of, result.evaluated):
                self._place.fetch_file(path)

    def store_arrays(self, name: Evaluation, write: Callable[[Path], object]) -> None:
        """Store the arrays of an evaluation, which `write` writes to a file."""
        write_atomically(self.arrays[name], write)
        self._place.share(self.arrays[name])

    def share_state(self, epoch: int) -> None:
        """Let others see the state after an epoch."""
        self._place.share(self.path / f"epoch-{epoch}.safetensors")

    def share_log(self) -> None:
        """Let others see the log as far as it is."""
        if self.log.exists():
            self._place.share(self.log)

    def read_result(self) -> Result | None:
        """Read how the trial ended; None if it has not, or if the file cannot be read (the trial is then resumed).

        An evaluation whose file of arrays was deleted counts as not made.
        """
        result = _read_result(self._result)
        if result is None:
            return None
        lost = {name for name, path in self.arrays.items() if not path.exists()}
        return replace(result, evaluated=[name for name in result.evaluated if evaluation_of(name) not in lost])

    def note_beginning(self, began: float) -> None:
        """Note when a process took the trial up, in seconds since 1970, unless an earlier one is noted."""
        if not self._beginning.exists():
            write_text_atomically(self._beginning, json.dumps(began))
            self._place.share(self._beginning)

    def read_beginning(self) -> float | None:
        """When a process first took the trial up, in seconds since 1970; None if none has."""
        try:
            return float(json.loads(self._beginning.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # of a trial from before it was noted, the result may say
            result = _read_result(self._result)
            return None if result is None else result.began

    def read_measured(self, folder: Path, history: Sequence[Row]) -> Result | None:
        """Read what was measured of the trial's last state in the folder, of whatever study, that has the state.

        history: of that state. What was measured of another is left out, even if it is this trial's own: the same
        training on another machine or device, or once more, is another model, which took other seconds.
        """

        def tell(rows: Iterable[Row]) -> list[list[object]]:
            return [[row.get(name) for name in ("epoch", "train/loss", "seconds")] for row in rows]

        result = _read_result(folder / self._result.name)
        return result if result is not None and tell(result.history) == tell(history) else None

    def forget_result(self) -> None:
        """Delete the result, so that the trial runs again; its states stay."""
        self._place.remove(self._result)

    def discard(self) -> None:
        """Delete all files of the trial but its log, also those that were never brought here."""
        there = {item.path for item in self._place.list(self.path)}
        self._place.remove(*({*_list_files(self.path), *there} - {self.log}))

    def list_own_states(self) -> list[Path]:
        """List the states in this study that this trial can resume from, the latest epoch first."""
        return self._pick_states([self.path])

    def check_readable(self) -> None:
        """Check that the states stored here can be read at all, whole or not.

        Raises:
            OSError: one cannot, which says nothing of what it holds.
        """
        for path in self.list_own_states():
            check_readable(path)

    def list_states(self) -> list[Path]:
        """List these states and those in other studies of the same results; of one epoch, this study's first."""
        return self._pick_states([self.path, *self._list_twins()])

    def _pick_states(self, folders: Iterable[Path], pattern: re.Pattern[str] = STATE) -> list[Path]:
        paths = [path for folder in folders for path in _list_files(folder) if pattern.fullmatch(path.name)]
        return sorted((path for path in paths if epoch_of(path) <= self._epochs), key=epoch_of, reverse=True)

    def _list_twins(self) -> list[Path]:
        """The folders of this training in other studies of the same results; none for a member of a population."""
        if self._is_of_population:
            return []
        if self._trainings is not None:
            twins = self._trainings.find_twins(self.path)
        else:
            this, results = self.path.parents[1], self.path.parents[2]
            twins = [study / TRIALS / self.path.name for study in sorted(_list_files(results)) if study != this]
        # Another user may keep theirs to themselves.
        return [twin for twin in twins if os.access(twin, os.R_OK | os.X_OK)]

    def list_damaged(self) -> list[Path]:
        """List the states of this study that were cut short or cannot be read: the trial begins before them."""
        return [path for path in self.list_own_states() if not _read_history(path)]

    def write_checkpoint(
        self, tensors: Mapping[str, "Tensor"], history: Sequence[Row], *, lender: str | None = None
    ) -> None:
        """Store the training state and the epochs that led to it, in one file, atomically.

        lender: the study that trained the first of these epochs, where this one took them over.

        Earlier states are deleted, except those that a shorter trial ended with.
        """
        from safetensors.torch import save

        header = {"history": json.dumps(list(history), allow_nan=False)}
        if lender is not None:
            header[LENDER] = lender
        contiguous = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        newest = self.path / f"epoch-{len(history)}.safetensors"
        # safetensors' own writing to a file would leave a file of unknown name behind if the process is killed.
        write_atomically(newest, lambda path: path.write_bytes(save(contiguous, metadata=header)))
        self._place.share(newest)
        self._place.remove(
            *(
                path
                for path in self.list_own_states()
                if epoch_of(path) < len(history) and not (self.path / f"result-{epoch_of(path)}.json").exists()
            )
        )

    def count_stored_epochs(self) -> int:
        """How many epochs a later run need not train again."""
        return len(self.read_history())

    def count_own_epochs(self) -> int:
        """How many of these this study has stored itself; 0 if the trial resumes from another study's state."""
        state, epochs = self.find_state()
        return len(epochs) if state is not None and state.parent == self.path else 0

    def read_history(self) -> list[Row]:
        """The epochs that led to the state this trial resumes from."""
        return self.find_state()[1]

    def find_state(self, *, only_own: bool = False) -> tuple[Path | None, list[Row]]:
        """Find the stored state that this trial resumes from, in whichever study, and the epochs that led to it."""
        paths = self._pick_states([self.path, *([] if only_own else self._list_twins())], STATE_OR_HEADER)
        return next(((path, rows) for path in paths if (rows := _read_history(path))), (None, []))

    def fetch(self, *, whole: bool = True) -> None:
        """Bring here what others have stored of this training, in this study and, of later epochs, in others.

        whole: with the states; else with their headers alone, which say the epochs.
        """
        if not self._place.is_remote:
            return
        own = self._place.list(self.path)
        fetch_trials(self._place, self.path, own, whole=whole)
        if self._is_of_population:
            return
        newest = max((epoch_of(item.path) for item in own if STATE.fullmatch(item.path.name)), default=0)
        if newest >= self._epochs:
            return
        twins = find_twins_in_bucket(self._place, self.path)
        for twin, items in zip(twins, in_parallel(self._place.list, twins), strict=True):
            epochs = [epoch_of(item.path) for item in items if STATE.fullmatch(item.path.name)]
            if any(newest < epoch <= self._epochs for epoch in epochs):
                fetch_trials(self._place, twin, items, whole=whole)

    def clear(self) -> None:
        """Delete here what is kept elsewhere: the next trial may need the room."""
        if self._place.is_remote:
            shutil.rmtree(self.path, ignore_errors=True)
            for path in self.arrays.values():
                path.unlink(missing_ok=True)


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


def check_readable(path: Path) -> None:
    """Check that a file can be read at all, whole or not; raises OSError if not."""
    with path.open("rb") as file:
        file.read(1)


def read_checkpoint(path: Path) -> tuple[dict[str, "Tensor"], list[Row]]:
    """Read a stored state and its history.

    Raises:
        ValueError: the file is gone, is cut short or is not a checkpoint.
        OSError: it cannot be read just now, which says nothing of what it holds.
    """
    from safetensors import SafetensorError, safe_open

    with suppress(FileNotFoundError, IsADirectoryError):
        check_readable(path)  # of a file that it cannot open, safetensors says that there is none
    try:
        with safe_open(path, framework="pt") as file:
            history = json.loads((file.metadata() or {})["history"])
            history[-1]["step"]  # needed to resume training
            return {name: file.get_tensor(name) for name in file.keys()}, history  # noqa: SIM118
    except (SafetensorError, LookupError, ValueError, TypeError, OSError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None


def read_lender(path: Path) -> str | None:
    """The study that a stored state, which can be read, was taken over from, by its header; None if there is none."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return (file.metadata() or {}).get(LENDER)


def _read_history(checkpoint: Path) -> list[Row]:
    """Read the epochs that led to a stored state, from its header alone; none if the file is damaged."""
    try:
        if checkpoint.suffix == HEADER and not checkpoint.stat().st_size:  # as the result has them
            result = _read_result(checkpoint.with_name(f"result-{epoch_of(checkpoint)}.json"))
            return [] if result is None or len(result.history) != epoch_of(checkpoint) else list(result.history)
        with checkpoint.open("rb") as file:  # the header: its length, then JSON
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        whole = 8 + length + (max(ends, default=0) if STATE.fullmatch(checkpoint.name) else 0)
        if checkpoint.stat().st_size != whole:
            return []  # cut short
        return list(json.loads(header["__metadata__"]["history"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, MemoryError, OverflowError, RecursionError):
        return []


def take_over(donor: TrialFolder, loser: TrialFolder, epoch: int) -> None:
    """Replace the loser's state after an epoch by the donor's; the loser's history stays.

    Both have the same architecture. Doing this twice has the same effect as doing it once.
    """
    from safetensors import safe_open
    from safetensors.numpy import save

    name = f"epoch-{epoch}.safetensors"
    history = json.dumps(_read_history(loser.path / name), allow_nan=False)
    with safe_open(donor.path / name, framework="np") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    write_atomically(loser.path / name, lambda path: path.write_bytes(save(tensors, metadata={"history": history})))
    loser.share_state(epoch)
