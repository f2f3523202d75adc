"""One trial as a Ray Tune trainable: a thin shell around `run_trial`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray import tune

from harness.datasets import Dataset
from harness.ledger import Row, Trial
from harness.trial import Measures, run_trial
from models.settings import TrialSettings


class StudyTrainable(tune.Trainable):  # type: ignore[misc]
    """Steps one epoch at a time. Its process is used for one trial after another, which saves its start-up.

    Tune's own checkpoints are not used: a trial finds its newest state by its trial_id, also when Tune knows nothing
    of the run before.
    """

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], dataset: Dataset, measures: Measures, study_folder: Path, metric: str
    ) -> None:
        """dataset: in memory that all trials of the machine share, read-only."""
        self._dataset, self._measures, self._study_folder, self._metric = dataset, measures, study_folder, metric
        self._rows = self._start(config)

    def _start(self, config: dict[str, Any]) -> Iterator[Row]:
        settings = TrialSettings(**config["settings"])
        trial = Trial(settings, self._dataset.name, self._dataset.content_hash)
        device = "cuda" if config["gpu"] else "cpu"
        return run_trial(trial, self._measures, self._dataset, self._study_folder, device=device)

    def step(self) -> dict[str, Any]:
        """The next epoch: `row` holds its metrics, `epoch` and `objective` are what a scheduler looks at."""
        row = next(self._rows)
        return {
            "row": row,
            "epoch": row.get("epoch", 0),
            "objective": row.get(self._metric),
            "done": "status" in row,
        }

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Go over to another trial."""
        self._rows = self._start(new_config)
        return True
