"""Studies of Variational Sparse Coding: from a study file to trials, runs and tables.

    from harness import Study, load_model, load_tables, run

    study = Study.from_file("my-study.yaml")
    study.plan()                                    # a row for each trial
    run(study)                                      # as `spikeslab run`, with progress in a notebook, too
    trials, history = load_tables(study)
    model = load_model(study, trials.iloc[0])       # encode, decode, sample, log_prob

Each is imported when it is asked for: `import harness` loads no library.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.python.load import load_model, load_tables
    from harness.python.run import run
    from harness.python.study import Study

__all__ = ["Study", "load_model", "load_tables", "run"]

_HOMES = {"Study": "study", "load_model": "load", "load_tables": "load", "run": "run"}


def _pin(name: str) -> None:
    """Load the package that lies beside this one, whatever a current folder or PYTHONPATH has of its name."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).resolve().parents[1] / name / "__init__.py")
    if name not in sys.modules and spec is not None and spec.loader is not None:
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])


_pin("models")
_pin("analysis")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    return getattr(importlib.import_module(f"harness.python.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
