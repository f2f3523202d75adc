"""One file a figure: what it computes from the tables, how it is plotted, and its `FIGURE`."""

import analysis.drawing  # noqa: F401 (before matplotlib)
