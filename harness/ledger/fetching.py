"""What of a study is brought to this machine, where its results are kept elsewhere: the rest stays there.

Without a state, its header says what a driver or a table asks: how many epochs it holds. And once a run has ended, one
file has the results of all trials, as reading ten thousand takes minutes.
"""

import os
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path, PurePosixPath

from analysis.files import write_atomically
from harness.ledger.names import EXHIBITS, HEADER, LOG, MLFLOW_DATABASE, RAY_LOG, RESULTS_ID, STATE, TRIALS, epoch_of
from harness.storage.local import is_locked, locked, write_copy
from harness.storage.objects import in_parallel
from harness.storage.place import HERE, LOCK, Item, Place

PACK = "trials.zip"
"""The small files of all trials, from the end of a run until the next one trains."""

PACKED = re.compile(r"trials/[0-9a-f]{1,64}/((result|began)-\d+\.json|epoch-\d+\.header)")
UNPACKED = ".unpacked"  # which pack the files here are of

HEADER_BYTES = 65_536  # as many as most headers have at most

MLFLOW = (MLFLOW_DATABASE,)
"""What only those need who send or show runs."""


def fetch_study(
    place: Place, study: str, *, but: Collection[str] = (), trials: bool = True, arrays: bool = True
) -> None:
    """Bring the files of a study here: those beside its trials, their results and arrays, headers instead of states.

    but: names of files to leave. trials: also those of single trials. arrays: else an empty file stands for each that
    is not here, as a result counts an evaluation whose file is gone as not made. What is here and not there is deleted.
    """
    if not place.is_remote:
        return
    but = but if trials else (*but, PACK)
    folder = place.folder / study
    top = [item for item in place.list(folder, deep=False) if not is_private(item.path)]
    _delete_others(folder, {item.path for item in top} | {folder / name for name in but}, deep=False)
    stored = place.list(folder / EXHIBITS)
    _delete_others(folder / EXHIBITS, {item.path for item in stored})
    place.fetch([item for item in (*top, *(stored if arrays else ())) if item.path.name not in but])
    if not arrays:
        for item in stored:
            item.path.parent.mkdir(parents=True, exist_ok=True)
            item.path.touch()
    if not trials:
        return
    pack = next((item for item in top if item.path.name == PACK), None)
    if pack is not None:
        _unpack(folder, pack)
    else:
        (folder / UNPACKED).unlink(missing_ok=True)
        fetch_trials(place, folder / TRIALS, place.list(folder / TRIALS), whole=False)


def held_still(place: Place, study: str) -> AbstractContextManager[object]:
    """Keep other processes of this machine from fetching a study meanwhile."""
    return locked(place.folder / study / ".fetching") if place.is_remote else nullcontext()


def fetch_to_read(place: Place, study: str, *, trials: bool = True, arrays: bool = False) -> None:
    """Bring the files of a study here to be read. Where a run of this machine writes them, they are here.

    trials: also what says how each trial stands; else tables. arrays: also those that figures are drawn from.
    """
    if place.is_remote and study in place.list_folders(place.folder):
        _fetch_to_read(place, study, trials=trials, arrays=arrays)


def _fetch_to_read(place: Place, study: str, *, trials: bool, arrays: bool) -> None:
    with held_still(place, study):
        if not is_locked(place.folder / study / LOCK):
            fetch_study(place, study, but=(*MLFLOW, RAY_LOG), trials=trials, arrays=arrays)


def fetch_all_to_read(place: Place, *, trials: bool = True, arrays: bool = False) -> None:
    """Bring the files of all studies here to be read; see `fetch_to_read`."""
    if place.is_remote:
        fetch = partial(_fetch_to_read, place, trials=trials, arrays=arrays)
        in_parallel(fetch, place.list_folders(place.folder))


def fetch_trials(place: Place, folder: Path, items: Iterable[Item], *, whole: bool) -> None:
    """Make the files of one trial, or of all, those that the place has. folder: of the one, or of all.

    whole: with states and logs; else with the headers of states, which are empty where a result has the same epochs.
    """
    items = list(items)
    states = [] if whole else [item.path for item in items if STATE.fullmatch(item.path.name)]
    if not whole:
        items = [item for item in items if not STATE.fullmatch(item.path.name) and item.path.name != LOG]
    _delete_others(folder, {item.path for item in items} | {state.with_suffix(HEADER) for state in states})
    place.fetch(items)
    paths = {item.path for item in items}
    told = {state for state in states if state.with_name(f"result-{epoch_of(state)}.json") in paths}
    for state in told:
        state.with_suffix(HEADER).write_bytes(b"")
    in_parallel(lambda state: _fetch_header(place, state), [state for state in states if state not in told])


def _fetch_header(place: Place, state: Path) -> None:
    with suppress(FileNotFoundError):  # a later one has replaced it
        write_copy(state.with_suffix(HEADER), _read_header(place, state))


def _read_header(place: Place, state: Path) -> bytes:
    start = place.read_start(state, HEADER_BYTES)
    length = 8 + int.from_bytes(start[:8], "little")
    return (place.read_start(state, length) if length > len(start) else start)[:length]


def pack_trials(folder: Path) -> None:
    """Write the pack of the trials whose files are here; it is shared with the files beside them.

    Of a state that is here, as a population that waits has it, its header is packed.
    """

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as pack:
            for file in sorted(_walk(folder / TRIALS)):
                is_state = bool(STATE.fullmatch(file.name)) and not file.with_suffix(HEADER).exists()
                name = (file.with_suffix(HEADER) if is_state else file).relative_to(folder).as_posix()
                is_told = file.with_name(file.name.replace("began-", "result-")).exists()  # the result says it, too
                if PACKED.fullmatch(name) and not (file.name.startswith("began-") and is_told):
                    content = _read_header(HERE, file) if is_state else file.read_bytes()
                    pack.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)

    write_atomically(folder / PACK, write, is_durable=False)


def _unpack(folder: Path, pack: Item) -> None:
    """Make the files of all trials those of the pack, unless they are."""
    mark = folder / UNPACKED
    if mark.exists() and mark.read_text(encoding="utf-8") == pack.tag:
        return
    mark.unlink(missing_ok=True)
    with zipfile.ZipFile(folder / PACK) as packed:
        names = [name for name in packed.namelist() if PACKED.fullmatch(name)]
        _delete_others(folder / TRIALS, {folder.joinpath(*PurePosixPath(name).parts) for name in names})
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(packed.read(name))  # whoever else reads them waits for the mark
    mark.write_text(pack.tag, encoding="utf-8")


def _delete_others(folder: Path, kept: Collection[Path], *, deep: bool = True) -> None:
    for path in list(_walk(folder, deep=deep)):
        if path not in kept and not is_private(path):
            path.unlink(missing_ok=True)


def is_private(path: Path) -> bool:
    """Whether a file is this machine's alone, or the place's: locks, marks, and what is not yet whole."""
    return path.name.startswith(".") and path.name != RESULTS_ID


def _walk(folder: Path, *, deep: bool = True) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        yield from (Path(where, name) for name in names)
        if not deep:
            return
