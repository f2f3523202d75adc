"""What MLflow is to show of a study, from its tables and its file."""

import math
from collections.abc import Iterable
from pathlib import Path

from analysis.figure_names import FIGURE_NAMES
from analysis.metrics import metric_of
from analysis.tables import Tables, load_tables
from analysis.tables.configuration_table import list_metrics
from analysis.tables.objectives import goals
from analysis.tables.series import varying_settings
from analysis.wording import markdown_table
from harness.commands.answer import Answer, compute_answer
from harness.commands.best import rank_candidates
from harness.errors import InputError
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.storage.place import Place
from harness.study import Study
from harness.study.file import read_question
from harness.tracking.presentation import Presentation
from harness.tracking.winner import Winner
from models.choices import ImageShape


def present_study(study: Study, results: Place, trials: Iterable[Trial], image_shape: ImageShape) -> Presentation:
    """The question, the ranked configurations and the command; the best value with its interval; what to sort by.

    trials: those of the study, one of which may be the winner, a model for images (channels, height, width).

    Raises:
        TableError: the study has no tables.
    """
    folder = results.folder / study.name
    tables = load_tables(folder)
    answer = compute_answer(tables) if study.has_one_best else None
    metric = answer.metric if answer is not None else goals(tables.trials)[0][0]
    return Presentation(
        description=_describe(read_question(folder / "study.yaml"), answer, study.name),
        best=_find_best(answer),
        metric=metric,
        is_maximised=not metric_of(metric).is_lower_better,
        settings=[name for name in varying_settings(tables.trials) if name != "model"],
        metrics=_list_shown(tables),
        figure=_find_figure(study, folder / "figures"),
        about={
            "sampler": study.search.sampler,
            "scheduler": study.scheduler.name,
            "metric": ", ".join(name for name, _ in goals(tables.trials)),
            "seeds": " ".join(map(str, study.seeds)),
            "evaluate": " ".join(study.evaluate),
        },
        winner=_find_winner(study, results, trials, image_shape),
    )


def _find_figure(study: Study, folder: Path) -> str:
    """The first of the figures that were drawn, in the order of the study or else of all figures."""
    names = (f"{name}.png" for name in study.figures or FIGURE_NAMES)
    return next((name for name in names if (folder / name).exists()), "")


def _find_winner(study: Study, results: Place, trials: Iterable[Trial], image_shape: ImageShape) -> Winner | None:
    """The trial with the first seed of the configuration that was chosen on images held out: no seed is picked by luck.

    None where nothing was chosen, its state is gone, or code of a plug-in would have to go with it.
    """
    try:
        ranked, _ = rank_candidates(study, results)
    except InputError:
        return None
    by_seed = ranked.iloc[0]["trial_by_seed"]
    chosen = next((trial for trial in trials if by_seed and trial.trial_id == by_seed[min(by_seed)]), None)
    if chosen is None or chosen.plugins:
        return None
    trial_folder = TrialFolder(results.folder / study.name, chosen, results)
    trial_folder.fetch()
    state, epochs = trial_folder.find_state()
    return None if state is None else Winner(chosen, image_shape, state, len(epochs))


def _describe(question: str, answer: Answer | None, name: str) -> str:
    parts = [f"**{question}**" if question else ""]
    if answer is not None and not answer.ranked.empty:
        unit = metric_of(answer.metric).unit
        head = ["", "configuration", f"{answer.metric} (95% interval){f', {unit}' if unit else ''}", "seeds"]
        parts += [markdown_table(head, answer.list_rows()), answer.note]
    parts.append(f"Figures: the parent run's artifacts, `figures/`. Again: `spikeslab run {name}`.")
    return "\n\n".join(part for part in parts if part)


def _find_best(answer: Answer | None) -> dict[str, float]:
    if answer is None or answer.ranked.empty:
        return {}
    best = answer.ranked.iloc[0]
    names = {"": "mean", "_low": "low", "_high": "high"}
    found = {f"best/{answer.metric}{end}": float(best[name]) for end, name in names.items()}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _list_shown(tables: Tables) -> list[str]:
    """The metrics of the end of a trial that say most."""
    wanted = ("test/elbo", "val/elbo", "test/rate", "test/distortion", "code/nonzero_fraction")
    known = list_metrics(tables)
    return [name for name in wanted if name in known]
