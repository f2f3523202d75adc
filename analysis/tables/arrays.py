"""A file of arrays that a trial stored for figures: read whole, and checked."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from analysis.tables.series import NothingToDrawError

Layout = Mapping[str, tuple[str, str]]
"""The kind of each array (u: bytes, i: indices and counts, f: numbers) and its shape. A letter is one size.

Pictures, whose shape ends with HW, may all have one size more: the 3 colours.
"""

COLOURS = 3


def read_arrays(
    file: Path, layout: Layout, places: Mapping[str, str] | None = None, *, later: Layout | None = None
) -> dict[str, np.ndarray]:
    """The arrays of a layout, complete and of shapes that fit each other.

    places: arrays that hold indices, -1 for none, and the size, a letter, that they stay below. later: arrays that are
    read where the file has all of them; those of older versions lack them.

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
