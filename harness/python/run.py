"""Run a study from Python, as `spikeslab run` does."""

import os
from functools import partial

from harness.commands.console import make_console
from harness.commands.outcome import Outcome
from harness.commands.plot import draw_quietly
from harness.commands.run import run_study
from harness.interruption import Interrupted
from harness.paths import parse_path
from harness.python.study import RESULTS, Study, StudyOrName, as_study
from harness.storage.bucket import open_place
from harness.study.file import dump_study
from harness.tracking.mlflow_settings import keeping_settings


def run(
    study: StudyOrName,
    results: str | os.PathLike[str] = RESULTS,
    *,
    data: str | os.PathLike[str] | None = None,
    address: str | None = None,
) -> Outcome:
    """Train what is missing of a study, with live progress, then draw its figures: the same as `spikeslab run`.

    results: the folder that has a folder for each study, or s3://bucket/path. data: a folder to look for datasets in
    first. address: of a running Ray cluster; by default the one that this process is connected to, or else Ray runs
    on this machine, until the study has ended. Returns how many trials are done, failed, and were trained or measured
    now.

    Interrupted, by Ctrl-C or by the stop button of a notebook, it stores what is training, and goes on from there when
    it is called again.

    Raises:
        InputError: there is no such study, a dataset is missing, the results cannot be written to, the study is running
            already, or Ray cannot be used.
        KeyboardInterrupt: it was interrupted.
    """
    place = open_place(results)
    study = as_study(study, place.folder, stored_first=False)
    console = make_console()
    try:
        with keeping_settings():
            outcome = run_study(
                study,
                study.to_yaml() if isinstance(study, Study) else dump_study(study),
                results=place,
                console=console,
                data_dir=None if data is None else parse_path(data),
                address=address,
                draw=partial(draw_quietly, study, console=console),
            )
    except Interrupted:  # a second time, before what was training was stored; a SystemExit would end a notebook
        raise KeyboardInterrupt("stopped before all was stored; run it again to go on") from None
    if outcome.interrupted:
        raise KeyboardInterrupt(f"{outcome.num_done} of {outcome.num_trials} trials are done; run it again to go on")
    return outcome
