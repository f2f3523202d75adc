"""Studies of Variational Sparse Coding: from a study file to trials, runs and tables."""

import importlib.util
import sys
from pathlib import Path


def _pin(name: str) -> None:
    """Load the package that lies beside this one, whatever a current folder or PYTHONPATH has of its name."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).resolve().parents[1] / name / "__init__.py")
    if name not in sys.modules and spec is not None and spec.loader is not None:
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])


_pin("models")
_pin("analysis")
