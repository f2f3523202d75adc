"""What a person sees first in MLflow: what a study asked and found, and a view of its trials."""

import getpass
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.ledger.trial import Trial
from harness.tracking.metric_names import name_in_mlflow
from harness.tracking.winner import Winner

VIEW = "spikeslab"  # the key of the view, which the address of the study's page names
OF_EXPERIMENT = "mlflow.note.content"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
MOST_COLUMNS = 12


@dataclass(frozen=True)
class Presentation:
    """What MLflow shows of a study.

    description: in Markdown. best: metrics of the parent run, such as best/test/elbo, and its interval's ends. metric,
    is_maximised: what trials are sorted by. settings, metrics: those that the table of trials shows. winner: the trial
    that the study chose on images held out. figure: the file name of the main figure, as PNG; may be empty. about: what
    the study is made of, by field.
    """

    description: str = ""
    best: Mapping[str, float] = field(default_factory=dict)
    metric: str = "test/loss"
    is_maximised: bool = False
    settings: Sequence[str] = ()
    metrics: Sequence[str] = ()
    winner: Winner | None = None
    figure: str = ""
    about: Mapping[str, str] = field(default_factory=dict)


def make_view(shown: Presentation) -> str:
    """The state of MLflow's page of an experiment, as its Share button stores it: trials alone, the best first."""
    by = _as_sent(shown.metric)
    first = ["attributes.`Duration`", f"metrics.`{by}`"]  # whatever has no room, what they are sorted by does
    columns = [*first, *(f"params.`{name}`" for name in ("model", *shown.settings)), "params.`seed`"]
    columns += [f"metrics.`{_as_sent(name)}`" for name in shown.metrics if name != shown.metric]
    state = {
        "searchFilter": "tags.`spikeslab.kind` = 'trial'",
        "orderByKey": f"metrics.`{by}`",
        "orderByAsc": not shown.is_maximised,
        "selectedColumns": columns[:MOST_COLUMNS],
    }
    return json.dumps(state)


def _as_sent(metric: str) -> str:
    """MLflow's name of a metric that trials are compared by: of a split, or else measured at the end."""
    return name_in_mlflow(metric, at_end=True)


def describe_winner(address: str) -> str:
    """How to open the winner's model, in Markdown."""
    return f'The winner\'s model: `mlflow.pyfunc.load_model("{address}")`.'


def show_figure(name: str, run_id: str) -> str:
    """A figure among the artifacts of a run, in Markdown: on MLflow's pages it is fetched from its server."""
    return f"![{name.removesuffix('.png').replace('_', ' ')}](/get-artifact?path=figures/{name}&run_uuid={run_id})"


def page_of_trials(address: str, experiment_id: str) -> str:
    """The address of a study's page in MLflow, with its view."""
    return f"{address}/#/experiments/{experiment_id}/runs?viewStateShareKey={VIEW}"


def list_pages(uri: str, address: str) -> list[tuple[str, str]]:
    """The name of each study in a store and the address of its page, the one changed last first."""
    from mlflow import MlflowClient

    found = MlflowClient(tracking_uri=uri).search_experiments(order_by=["last_update_time DESC"])
    return [(one.name, page_of_trials(address, one.experiment_id)) for one in found if VIEW_TAG in one.tags]


def name_configuration(trial: Trial) -> str:
    """What the seeds of one configuration have in common, so that MLflow can group runs by it.

    It is the same whatever varies in the study by now. Members of a population depend on each other: it is part of it.
    """
    first = replace(trial, settings=replace(trial.settings, seed=0), varied=())
    return f"{first.label.rpartition(' seed ')[0]} ({first.trial_id[:6]})"


def tags_of_source() -> dict[str, str]:
    """Who started the runs, and with what."""
    return {
        "mlflow.user": _name_user(),
        "mlflow.source.name": "spikeslab run",
        "mlflow.source.type": "LOCAL",
    }


def _name_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())
