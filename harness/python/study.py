"""A study in Python: read from its file, and planned."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, PrivateAttr, ValidationError

from harness.errors import InputError
from harness.paths import parse_path
from harness.storage.bucket import open_place
from harness.study import Study as StudyOfFile
from harness.study.fields import MAX_NAME, SLUG
from harness.study.file import check_folder, describe, dump_study, find_study, format_study_file, is_in, load_study
from harness.study.origin import Origin

if TYPE_CHECKING:
    import pandas as pd

RESULTS = "results"
"""Where the command line has results, too: one folder a study, in the current folder."""

PLANNED = ("trial_id", "phase", "status", "epochs_left")
"""The columns of a plan, beside the settings."""

StudyOrName = StudyOfFile | str | os.PathLike[str]
"""A study, its name, or the path of its file."""


class _InOneSentence(type(BaseModel)):  # type: ignore[misc]
    """The class of `Study`, which says in one sentence what is wrong with what it is called with.

    An `__init__` would do so, too, but pydantic also calls it for a study from a file, whose lines it does not know.
    """

    def __call__(cls, *positional: object, **fields: Any) -> Any:
        if positional:
            raise InputError(
                f"Study: {positional[0]!r}: fields are given by name, as name=...; a file is read by Study.from_file"
            )
        try:
            return super().__call__(**fields)
        except ValidationError as error:
            raise InputError(describe(error, Origin(Path("Study"), {}, {}))) from None


class Study(StudyOfFile, metaclass=_InOneSentence):
    """One question: a dataset, a space of settings, how to search it, what to measure.

    `Study.from_file("my-study.yaml")` reads it from its file; `Study(name=..., dataset=..., space=[...])` takes the
    same fields from Python.

    Raises:
        InputError: one sentence that names the field and the fix.
    """

    _path: Path | None = PrivateAttr(default=None)
    _is_stored: bool = PrivateAttr(default=False)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Self:
        """Read a study from its file. overrides: such as "epochs=3", as `--set` takes them.

        Raises:
            InputError: one sentence that names the file, the line, the field and the fix.
        """
        given = [overrides] if isinstance(overrides, str) else list(overrides)
        if isinstance(overrides, Mapping) or not all(isinstance(override, str) for override in given):
            raise InputError(f"{os.fspath(path)}: overrides are a list of texts; write them as in ['epochs=3']")
        study = load_study(parse_path(path), given, kind=cls)
        study._path = parse_path(path)
        return study

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # noqa: ARG002
        """A study with other values in the fields of `update`, checked as those of `Study(...)` are.

        deep: has no effect, as no value of a study can be changed.

        Raises:
            InputError: one sentence that names the field and the fix.
        """
        made = type(self)(**self.model_dump(mode="json", exclude_none=True) | dict(update or {}))
        made._path, made._is_stored = self._path, self._is_stored
        return made

    def plan(self, results: str | os.PathLike[str] = RESULTS) -> "pd.DataFrame":
        """What `run` would do: a row for each trial known so far, in the order of training. Nothing starts.

        A search proposes its trials as it goes on, so that before it is run the frame has no row and no settings.

        Columns: trial_id; phase (search, select, confirm); status (waiting, begun, or how it ended); epochs_left, to be
        trained; and the settings.

        Raises:
            InputError: a configuration is not legal for the dataset.
        """
        import pandas as pd

        from harness.commands.overview import read_standings
        from harness.ledger.fetching import fetch_to_read

        place = open_place(results)
        fetch_to_read(place, self.name)
        standings, _, _ = read_standings(self, place.folder)
        rows = [
            {
                "trial_id": standing.trial.trial_id,
                "phase": standing.trial.phase,
                "status": standing.status,
                "epochs_left": standing.epochs_left,
                **standing.trial.settings.to_dict(),
            }
            for standing in standings
        ]
        return pd.DataFrame(rows, columns=None if rows else PLANNED)

    def to_yaml(self) -> str:
        """The study as the text of a study file, with the question of the file that it was read from."""
        if self._path is None:
            return dump_study(self)
        is_changed = dump_study(load_study(self._path, is_stored=self._is_stored)) != dump_study(self)
        return format_study_file(self._path, self, is_changed=is_changed)


def as_study(study: StudyOrName, results: Path, *, stored_first: bool = True) -> StudyOfFile:
    """The study that is meant. stored_first: of two files of its name, prefer that of the results, the last one run.

    Raises:
        InputError: no study has this name, or it is none of the three.
    """
    if isinstance(study, StudyOfFile):
        return study
    if not isinstance(study, (str, os.PathLike)):
        raise InputError(
            f"no study, but of type {type(study).__name__}; give a Study, its name or the path of its file"
        )
    path = find_study(os.fspath(study), results, stored_first=stored_first)
    is_stored = is_in(path, results)
    found = load_study(path, kind=Study, is_stored=is_stored)
    found._path, found._is_stored = path, is_stored
    check_folder(found, path, results)
    return found


def name_of(study: StudyOrName, results: Path) -> str:
    """The name of the study that is meant; one that is given by its name needs no file.

    Raises:
        InputError: as of `as_study`.
    """
    if isinstance(study, str) and SLUG.fullmatch(study) and len(study) <= MAX_NAME:
        return study
    return as_study(study, results).name
