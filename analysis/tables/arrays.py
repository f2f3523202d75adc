"""The files of arrays that trials stored for figures: who has one, read whole, and checked."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.tables.configurations import describe_standing, longest_of_each, median_of_each
from analysis.tables.series import NothingToDrawError, finished_with
from analysis.tables.tables import Tables

Arrays = Mapping[str, np.ndarray]

Layout = Mapping[str, tuple[str, str]]
"""The kind of each array (u: bytes, i: indices and counts, f: numbers) and its shape. A letter is one size.

Pictures, whose shape ends with HW, may all have one size more: the 3 colours.
"""

COLOURS = 3


@dataclass(frozen=True)
class Shown:
    """One trial in a figure. columns: which one it is, the same in every row of the figure's frame."""

    columns: dict[str, Any]
    arrays: Arrays


def find_stored(tables: Tables, ending: str) -> tuple[pd.DataFrame, pd.Series]:
    """The finished trials that stored a file of this ending: of each configuration the longest, and the median seed.

    Beside them, by index, what `describe_standing` says of each finished trial.
    """
    rows, folder = finished_with(tables.trials, ()), tables.exhibits
    standing = describe_standing(rows)
    has_file = [folder is not None and (folder / f"{trial_id}{ending}").is_file() for trial_id in rows["trial_id"]]
    return median_of_each(longest_of_each(rows[has_file])), standing


def read_each(trials: Iterable[dict[str, Any]], read: Callable[[str], Arrays]) -> list[Shown]:
    """What these trials stored. One whose file is broken is left out, and the others' column `left_out` says why.

    trials: the columns of each. read: from a trial's id to its arrays.

    Raises:
        NothingToDrawError: every file is broken.
    """
    found: list[Shown] = []
    broken: list[str] = []
    for columns in trials:
        try:
            found.append(Shown(columns, read(columns["trial_id"])))
        except NothingToDrawError as reason:
            broken.append(str(reason))
    if not found:
        raise NothingToDrawError("; ".join(broken))
    return [Shown(one.columns | {"left_out": "; ".join(broken)}, one.arrays) for one in found]


def read_arrays(
    file: Path, layout: Layout, places: Mapping[str, str] | None = None, *, later: Layout | None = None
) -> dict[str, np.ndarray]:
    """The arrays of a layout, complete and of shapes that fit each other.

    places: arrays that hold indices, -1 for none, and the size, a letter, that they stay below. later: arrays that are
    read where the file has all of them; those of older versions, or of some models, lack them.

    Raises:
        NothingToDrawError: the file is missing, broken, or not of this layout.
    """
    try:
        # Opened here: where numpy opens a file that it then cannot read, it does not close it.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            if later and set(later) <= set(stored.files):
                layout = {**layout, **later}
            arrays = {name: stored[name] for name in layout}
    except FileNotFoundError:
        raise NothingToDrawError(f"{file.name} does not exist") from None
    except KeyError as error:
        raise NothingToDrawError(f"{file.name} lacks an array: {error.args[0]}") from error
    except Exception as error:  # numpy, zipfile and zlib raise many kinds of errors for broken bytes
        raise NothingToDrawError(f"{file.name} is cut short or broken") from error
    sizes: dict[str, int] = {}
    for key, (kind, named) in layout.items():
        array, letters, shape = arrays[key], named, arrays[key].shape
        if named.endswith("HW"):  # all pictures are in colour, or all are grey
            letters, shape = f"{named}*", shape if shape[len(named) :] == (COLOURS,) else (*shape, 1)
        fits = array.dtype.kind == kind and len(shape) == len(letters) and array.size > 0
        if fits:
            fits = all(sizes.setdefault(letter, size) == size for letter, size in zip(letters, shape, strict=True))
        if not fits or not np.isfinite(array).all():
            raise NothingToDrawError(f"{file.name} holds another {key} than is drawn")
    for key, letter in (places or {}).items():
        if not ((arrays[key] >= -1) & (arrays[key] < sizes[letter])).all():
            raise NothingToDrawError(f"{file.name} holds another {key} than is drawn")
    return arrays
