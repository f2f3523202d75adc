"""Axes to draw on."""

import numpy as np
from matplotlib.figure import Figure


def make_axes(rows: int = 1, columns: int = 1) -> np.ndarray:
    return Figure().subplots(rows, columns, squeeze=False)
