"""Studies of each sampler, and runs of them in which no trial trains."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import optuna

from harness.datasets import Dataset
from harness.ledger.result import Result, Status
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.search.make_source import make_source
from harness.search.source import Source
from tests.harness.small_studies import ALPHA, GOOD, LATENTS, SEEDS, TPE, edit, load

SPACE = edit("epochs: 2", "epochs: 2\n  learning_rate: {loguniform: [1e-4, 1e-2]}\n  batch_size: {choice: [32, 64]}")
SPACE = edit(LATENTS, "{int: [2, 9]}", edit(ALPHA, "{uniform: [0.1, 0.3]}", SPACE))
SPACE = edit(
    "  - model: vsc\n", "  - model: vsc\n    hidden: {grid: [[8], [8, 4]]}\n    beta: {range: [1, 3, 0.5]}\n", SPACE
)
ONE_SPACE = """\
name: demo
dataset: digits
defaults: {epochs: 2, hidden: [8]}
space:
  - model: vsc
    latent_dim: {int: [2, 9]}
    alpha: {loguniform: [0.01, 0.3]}
    beta: {uniform: [0.5, 2]}
"""
STUDIES = {
    "grid": GOOD,
    "quasirandom": edit(SEEDS, "seeds: [0, 1]\nsearch: {sampler: quasirandom, num_trials: 4}\n", SPACE),
    "gp": ONE_SPACE + "search: {sampler: gp, num_trials: 6}\n",
    "cmaes": ONE_SPACE + "search: {sampler: cmaes, num_trials: 6}\n",
    "nsga2": ONE_SPACE + "search: {sampler: nsga2, num_trials: 9, metric: [val/elbo, val/rate]}\n",
    "tpe-two-metrics": edit(SEEDS, TPE.replace("6}", "6, metric: [val/elbo, train_seconds]}"), SPACE),
    "random": edit(SEEDS, "seeds: [0, 1]\nsearch: {sampler: random, num_trials: 4}\n", SPACE),
    "tpe": edit(SEEDS, TPE, SPACE),
    "tpe-asha": edit(SEEDS, TPE + "scheduler: {name: asha}\n", SPACE),
}


class Searching:
    """A study, the folder of its results, and sources on them, as runs of it make them one after another."""

    def __init__(self, folder: Path, dataset: Dataset, text: str) -> None:
        folder.mkdir(exist_ok=True)
        self.study, self.dataset, self.folder = load(folder, text), dataset, folder / "results"

    def source(self, *, read_only: bool = False) -> Source:
        return make_source(self.study, self.dataset, self.folder, read_only=read_only)

    def end(self, trial: Trial, status: Status = "finished", value: float | None = None) -> Result:
        """Write a trial's result, as its process would."""
        score = value if value is not None else -abs(trial.settings.latent_dim - 5.0)
        history = [{"epoch": e, "seconds": 0.1} | dict.fromkeys(self.study.objectives, score + e - 2) for e in (1, 2)]
        result = Result(status=status, history=history, evaluated=self.study.measures.evaluated)  # type: ignore[arg-type]
        TrialFolder(self.folder, trial).write_result(result)
        return result

    def run(self, source: Source | None = None, *, at_most: int = 1000, status: Status = "finished") -> list[Trial]:
        """Run trials to their ends, one by one; returns those that ran."""
        source = source or self.source()
        ran: list[Trial] = []
        while len(ran) < at_most and (trial := source.next()) is not None:
            source.tell(trial, self.end(trial, status))
            ran.append(trial)
        return ran

    def history(self) -> optuna.Study:
        """Optuna's newest history."""
        storage = f"sqlite:///{self.folder / 'optuna.db'}"
        return optuna.load_study(study_name=optuna.get_all_study_names(storage)[-1], storage=storage)

    def optuna_trials(self) -> list[optuna.trial.FrozenTrial]:
        """The trials of Optuna's newest history."""
        return self.history().get_trials()


def ids(trials: Sequence[Trial]) -> list[str]:
    return [trial.trial_id for trial in trials]


def digest(folder: Path) -> dict[str, str]:
    """The files of a folder, each with what its content comes to."""
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in folder.rglob("*") if p.is_file()}  # fmt: skip
