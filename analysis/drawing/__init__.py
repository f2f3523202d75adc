"""What every figure is drawn with: the frame around its panels, lines, pictures, colours, captions."""

import logging
import os
import sys

from analysis.errors import AnalysisError

# Figures go to files, whatever notebooks and terminals hand to the programs that they start; `drawing_style` does away
# with what a matplotlibrc says.
_given = os.environ.get("MPLBACKEND")
os.environ["MPLBACKEND"] = "agg"
logging.getLogger("matplotlib").setLevel(logging.ERROR)  # of a home that cannot be written to, of a matplotlibrc
try:
    import matplotlib as mpl  # for the first time
except UnicodeDecodeError as error:
    raise AnalysisError(
        f"matplotlibrc: matplotlib cannot read it ({error.reason}); make it UTF-8 or move it away, here, in "
        "$MATPLOTLIBRC or in ~/.config/matplotlib"
    ) from None
if _given and "ipykernel" in sys.modules:  # a notebook, whose own figures are shown as before
    os.environ["MPLBACKEND"] = mpl.rcParams["backend"] = _given
