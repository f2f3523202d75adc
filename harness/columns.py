"""The columns of tables that are neither settings nor metrics, with their types."""

from collections.abc import Mapping

BEFORE_SETTINGS: Mapping[str, str] = {
    "trial_id": "string",
    "study": "string",
    "phase": "string",
    "status": "string",
    "sampler": "string",
    "scheduler": "string",
    "objectives": "string",  # a JSON list of metrics
    "directions": "string",  # a JSON list: maximize or minimize
    "dataset": "string",
}
"""Which trial a row is of."""

AFTER_SETTINGS: Mapping[str, str] = {
    "epochs_trained": "Int64",
    "mlflow_run_id": "string",
    "train_seconds": "float64",
    "peak_memory_mb": "float64",
    "violates": "string",  # the constraints of the search that it breaks, if any
    "device": "string",  # cpu, or the card's name
    "evaluated": "string",  # what its metrics and arrays are of, with what they depend on: elbo@v3; iw_bound@50v3
    "error": "string",
    "stopped_by": "string",  # what stopped it early, as JSON: the scheduler, and the metric that it compares
}
"""How the trial went."""

OF_OTHER_TABLES = ("epoch", "epochs_left")  # of the history, and of what is planned
COLUMNS = (*BEFORE_SETTINGS, *AFTER_SETTINGS, *OF_OTHER_TABLES)
"""All of them: no setting may be called so."""
