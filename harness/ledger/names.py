"""What the files of a study are called."""

import re
from pathlib import Path

MLFLOW_DATABASE = "mlflow.db"
MLFLOW_LOCK = ".mlflow.lock"  # beside it

PROVENANCE = "provenance.json"
"""The record of what trained and measured a study, in its folder.

It has an entry for each run by different code, on another machine or of a changed study file, including the entries of
other studies whose states were taken over."""

PLUGINS = "plugins"
"""The folder of a study that holds the source of the plug-ins that it was run with, each in a folder named by the start
of its SHA-256 in the record: to be read, never to be run."""

DATASET = "dataset.json"
"""What identifies the dataset of a study's last run, in its folder."""

HISTORY_FILE = "optuna.db"
"""The history of an Optuna sampler, in the folder of a study."""

TRIALS = "trials"
EXHIBITS = "exhibits"
"""The folder of a study that holds each trial's arrays for figures: of the evaluation exhibits in <trial_id>.npz, of
another in <trial_id>-<evaluation>.npz."""

RESULTS_ID = ".results-id"
"""Holds what names a results folder to others, in it; a copy of the folder has the same."""

STATE = re.compile(r"epoch-(\d+)\.safetensors")
STATE_OR_HEADER = re.compile(r"epoch-(\d+)\.(safetensors|header)")
HEADER = ".header"
LOG = "log.txt"
RAY_LOG = "ray.log"  # what Ray says of a run


def epoch_of(checkpoint: Path) -> int:
    """The epoch after which a state was stored."""
    return int(checkpoint.stem.removeprefix("epoch-"))
