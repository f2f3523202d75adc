"""A file of arrays that a trial stored for figures: read whole, and checked."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from analysis.tables.series import NothingToDrawError

Layout = Mapping[str, tuple[str, str]]
"""The kind of each array (u: bytes, i: indices and counts, f: numbers) and its shape. A letter is one size.

Arrays of bytes are pictures. Those in colour have a further dimension, of red, green and blue; either all have or none.
"""

COLOURS = "c"


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
    for key, (kind, grey) in layout.items():
        array = arrays[key]
        is_coloured = kind == "u" and array.ndim == len(grey) + 1
        letters = grey + COLOURS if is_coloured else grey
        if kind == "u":
            sizes.setdefault(COLOURS, 3 if is_coloured else 1)
        fits = array.dtype.kind == kind and array.ndim == len(letters) and array.size > 0
        if fits:
            fits = all(
                sizes.setdefault(letter, size) == size for letter, size in zip(letters, array.shape, strict=True)
            )
        if kind == "u":
            fits = fits and is_coloured == (sizes[COLOURS] == 3)
        if not fits or not np.isfinite(array).all():
            raise NothingToDrawError(f"{file.name} holds another {key} than is drawn")
    for key, letter in (places or {}).items():
        if not ((arrays[key] >= -1) & (arrays[key] < sizes[letter])).all():
            raise NothingToDrawError(f"{file.name} holds another {key} than is drawn")
    return arrays
