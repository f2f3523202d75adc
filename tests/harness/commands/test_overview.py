"""What plan and status say of a study, without running any of it."""

import os
import shutil
import threading
from pathlib import Path

import pytest
from rich.console import Console

from harness.cli.options import load_named_study
from harness.commands import overview
from harness.commands.collect import find_or_download_study
from harness.commands.overview import summarise_plan, summarise_status, summarise_studies
from harness.commands.publish import Publication, tabulate
from harness.commands.report import report_studies
from harness.datasets import load_dataset
from harness.errors import InputError
from harness.ledger.published import PublishedTrials
from harness.ledger.result import Result, Row, Status
from harness.ledger.tables import build_tables, write_tables
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.python.study import as_study
from harness.search.make_source import make_source
from harness.storage.local import locked
from harness.storage.place import Folder
from harness.study import Study
from tests.harness.small_studies import ALPHA, GOOD, SEEDS, TPE, edit, load

PUBLISHED = Path(__file__).parents[3] / "studies" / "published"
STUDY = edit("epochs: 2", "epochs: 5", edit(ALPHA, "{grid: [0.2, 0.05]}"))  # 10 trials: 2 VAE, 4 and 4 VSC


def lines(renderable: object, width: int = 500) -> list[str]:
    """As printed, with the spaces between columns as one."""
    console = Console(width=width, file=open(os.devnull, "w"), record=True)  # noqa: SIM115, PTH123
    console.print(renderable)
    console.file.close()
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


class Results:
    """A results folder in which some trials of a study have ended."""

    def __init__(self, results: Path, study: Study) -> None:
        self.path, self.study, self.folder = results, study, results / study.name
        self.source = make_source(study, load_dataset(study.dataset), self.folder)

    @property
    def trials(self) -> list[Trial]:
        return list(self.source.trials)

    def end(
        self, trial: Trial, status: Status = "finished", *, seconds: float = 2.0, error: str | None = None
    ) -> Result:
        row: Row = {"seconds": seconds, "train/loss": 1.0}
        history: list[Row] = [{"epoch": i + 1, "step": i, **row} for i in range(trial.settings.epochs)]
        result = Result(status=status, history=history, evaluated=self.study.measures.evaluated, error=error)
        TrialFolder(self.folder, trial).write_result(result)
        return result

    def begin(self, trial: Trial, epochs: int) -> None:
        history: list[Row] = [{"epoch": i + 1, "step": i, "seconds": 1.0} for i in range(epochs)]
        TrialFolder(self.folder, trial).write_checkpoint({}, history)

    def plan(self) -> list[str]:
        return lines(summarise_plan(self.study, Folder(self.path)))

    def status(self) -> list[str]:
        return lines(summarise_status(self.study, Folder(self.path)))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results", load(tmp_path, STUDY))


def test_a_plan_of_what_was_never_run_counts_everything_as_left_and_makes_no_file(results: Results) -> None:
    assert results.plan() == [
        "demo on digits",
        "model alpha trials done left epochs left",
        "vae 2 0 2 10",
        "vsc 0.2 4 0 4 20",
        "vsc 0.05 4 0 4 20",
        "Estimated time: unknown until the first trial has ended.",
    ]
    assert not results.path.exists()


def test_a_plan_counts_what_is_done_and_estimates_the_rest(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "count_cores", lambda: 2)
    vae, first, second, *_ = results.trials
    results.end(vae)
    results.end(first, seconds=3.0)
    results.begin(second, 2)
    assert results.plan()[2:] == [
        "vae 2 1 1 5",
        "vsc 0.2 4 1 3 " + ("13" if second.settings.alpha == 0.2 else "15"),
        "vsc 0.05 4 0 4 " + ("20" if second.settings.alpha == 0.2 else "18"),
        # 38 epochs at the median of 2 and 3 seconds, two at a time
        "Estimated time: 48 s on this machine (2 trials at once)",
    ]


def test_the_estimate_counts_how_many_trials_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "count_cores", lambda: 8)
    for cpu, slots, time in [(1, 8, "11 s"), (4, 2, "45 s"), (16, 1, "1 min 30 s"), (0.5, 16, "6 s"), (0.1, 80, "1 s")]:
        results = Results(tmp_path / str(cpu), load(tmp_path, STUDY + f"resources: {{cpu: {cpu}}}\n"))
        results.end(results.trials[0])
        expected = f"Estimated time: {time} on this machine ({slots} trials at once)"
        assert results.plan()[-1] == expected


@pytest.mark.parametrize(
    ("resources", "estimate"),
    [
        ("{gpu: 1, cpu: 0.1}", "Estimated time: 1 min 30 s on one GPU (1 trials at once)"),
        ("{gpu: 0.5}", "Estimated time: 45 s on one GPU (2 trials at once)"),
        ("{gpu: 0.02}", "Estimated time: 2 s on one GPU (50 trials at once)"),
        ("{gpu: 1, cpu: 1}", "Estimated time: 1 min 30 s on one GPU (1 trials at once)"),
        ("{gpu: auto}", "Estimated time: unknown; with gpu: auto, the run finds out how many trials share a card."),
    ],
)
def test_the_estimate_of_what_a_gpu_trains_is_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resources: str, estimate: str
) -> None:
    monkeypatch.setattr(overview, "count_cores", lambda: 8)
    results = Results(tmp_path, load(tmp_path, STUDY + f"resources: {resources}\n"))
    results.end(results.trials[0])
    assert results.plan()[-1] == estimate


@pytest.mark.parametrize(
    ("resources", "time"),
    [("{gpu: 1}", "3 h 00 min"), ("{gpu: 0.5}", "1 h 30 min"), ("{gpu: auto}", "unknown"), ("{cpu: 8}", "1 h 30 min")],
)
def test_what_is_published_is_estimated_as_a_plan_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resources: str, time: str
) -> None:
    monkeypatch.setattr(overview, "count_cores", lambda: 16)
    study = load(tmp_path, edit("epochs: 2", "epochs: 1") + f"resources: {resources}\n")
    results = Results(tmp_path, study)
    first, *left = results.trials
    result = results.end(first, seconds=3 * 3600 / len(left))
    write_tables(results.folder, build_tables(study, [(first, result)], {}))
    one = Publication(study, "", tmp_path, tmp_path / "kept", PublishedTrials(tmp_path / "kept"))
    assert lines(tabulate([one]))[1].endswith(f" {time}")
    assert results.plan()[-1].startswith(f"Estimated time: {time}")


def test_a_plan_of_what_is_done_says_so(results: Results) -> None:
    for trial in results.trials:
        results.end(trial)
    assert results.plan()[2:] == [
        "vae 2 2 0 0",
        "vsc 0.2 4 4 0 0",
        "vsc 0.05 4 4 0 0",
        "Nothing is left to train.",
    ]


def test_trials_that_only_lack_a_measure_have_no_epochs_left(results: Results) -> None:
    for trial in results.trials:
        results.begin(trial, 5)
    assert results.plan()[2] == "vae 2 0 2 0"
    assert results.plan()[-1] == "Nothing is left to train."


def test_what_an_adaptive_sampler_has_still_to_propose_is_counted(tmp_path: Path) -> None:
    study = load(tmp_path, edit(ALPHA, "{uniform: [0.1, 0.5]}", edit(SEEDS, TPE)))
    results = Results(tmp_path / "results", study)
    assert results.plan()[2:] == [
        "not yet proposed by tpe 6 0 6",
        "Estimated time: unknown until the first trial has ended.",
    ]
    trial = results.source.next()
    assert trial is not None
    results.end(trial)
    plan = results.plan()
    assert plan[2:4] == [f"{trial.settings.model} 1 1 0 0", "not yet proposed by tpe 5 0 5"]
    assert plan[4].startswith("Estimated time: ")  # from the length of the trials so far
    assert results.status() == ["demo: not running", "state trials", "finished 1", "waiting 5"]


def test_what_a_small_space_cannot_hold_is_not_waited_for(tmp_path: Path) -> None:
    results = Results(tmp_path / "results", load(tmp_path, edit(SEEDS, TPE)))
    assert results.status() == ["demo: not running", "state trials", "waiting 3"]


def test_a_status_counts_states_and_names_what_is_begun_or_went_wrong(results: Results) -> None:
    finished, begun, diverged, failed, stopped, *rest = results.trials
    results.end(finished)
    results.begin(begun, 3)
    results.end(diverged, "diverged", error="the loss stopped being finite in epoch 1, at step 2")
    results.end(failed, "failed", error="OSError: [Errno 28] No space left: [/tmp/x]")
    results.end(stopped, "stopped")
    logs = {trial: TrialFolder(results.folder, trial).log for trial in (diverged, failed)}
    assert results.status() == [
        "demo: not running",
        "state trials",
        "finished 1",
        "stopped 1",
        "diverged 1",
        "failed 1",
        "begun 1",
        f"waiting {len(rest)}",
        f"begun: {begun.label}, 3 of 5 epochs stored",
        f"diverged: {diverged.label}: the loss stopped being finite in epoch 1, at step 2 ({logs[diverged]})",
        f"failed: {failed.label}: OSError: [Errno 28] No space left: [/tmp/x] ({logs[failed]})",
    ]


def test_failures_are_grouped_by_their_reason_whatever_its_numbers(results: Results) -> None:
    diverged, failed = results.trials[:5], results.trials[5:7]
    for i, trial in enumerate(diverged):
        results.end(trial, "diverged", error=f"the loss stopped being finite in epoch {i}, at step {7 * i}")
    for trial, error in zip(failed, ["OSError: no space", "ValueError: no luck"], strict=True):
        results.end(trial, "failed", error=error)
    logs = [f"{trial.label} ({TrialFolder(results.folder, trial).log})" for trial in diverged]
    assert results.status()[5:] == [
        "diverged, 5 trials, such as: the loss stopped being finite in epoch 0, at step 0",
        *logs[:3],
        "and 2 more",
        f"failed: {failed[0].label}: OSError: no space ({TrialFolder(results.folder, failed[0]).log})",
        f"failed: {failed[1].label}: ValueError: no luck ({TrialFolder(results.folder, failed[1]).log})",
    ]


def test_without_a_study_each_has_a_row(results: Results, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no study has results there; run one first"):
        summarise_studies(Folder(results.path))
    results.end(results.trials[0])
    results.end(results.trials[1], "diverged", error="nan")
    results.end(results.trials[2], "diverged", error="nan")
    results.end(results.trials[3], "failed", error="OSError: no space")
    for name, text in {"demo": STUDY, "broken": STUDY.replace("seeds:", "sedes:")}.items():
        (results.path / name).mkdir(exist_ok=True)
        (results.path / name / "study.yaml").write_text(text)
    shutil.copytree(PUBLISHED / "traversals", results.path / "traversals")
    head, broken, demo, published = lines(summarise_studies(Folder(results.path)))
    assert head == "study trials done diverged failed left"
    assert broken.startswith("broken ")
    assert "sedes: unknown key" in broken
    assert demo == "demo 10 1 2 1 6"
    assert published == "traversals 6 6 0 0 0 tables"
    with locked(results.folder / ".lock", refusal="held"):
        assert lines(summarise_studies(Folder(results.path)))[2] == "demo 10 1 2 1 6 running now"


class Meeting(Folder):
    """A place that answers once it is asked of four studies."""

    meeting = threading.Barrier(4, timeout=60)

    def is_held(self, study: str) -> bool:
        self.meeting.wait()
        return study == "study-2"


def test_whether_studies_are_run_is_asked_of_all_at_once(tmp_path: Path) -> None:
    for i in range(4):
        (tmp_path / f"study-{i}").mkdir()
        (tmp_path / f"study-{i}" / "study.yaml").write_text(STUDY.replace("demo", f"study-{i}"))
    notes = [line.endswith("running now") for line in lines(summarise_studies(Meeting(tmp_path)))[1:]]
    assert notes == [False, False, True, False]


def test_the_list_of_published_studies_names_each_in_80_columns() -> None:
    printed = lines(summarise_studies(Folder(PUBLISHED)), width=80)
    rows = {words[0]: words[1:] for line in printed if (words := line.split())}
    assert {path.parent.name for path in PUBLISHED.glob("*/study.yaml")} <= rows.keys()
    assert rows["gamma-links"] == ["72", "48", "24", "0", "0", "tables"]


def test_a_folder_that_was_renamed_answers_with_no_other_studys_numbers(results: Results) -> None:
    results.end(results.trials[0])
    for name in ("demo", "demo-v1"):
        (results.path / name).mkdir(exist_ok=True)
        (results.path / name / "study.yaml").write_text(STUDY)
    path, place = results.path / "demo-v1" / "study.yaml", Folder(results.path)
    said = (
        f"{path}: name: this folder holds study demo; rename the folder to demo again, or write name: demo-v1 in that "
        "file"
    )
    for read in (
        lambda: load_named_study("demo-v1", place, stored_first=True),
        lambda: load_named_study(str(path), place),
        lambda: find_or_download_study("demo-v1", place),
        lambda: as_study("demo-v1", results.path),
        lambda: report_studies(["demo-v1"], results.path, results.path / "report"),
    ):
        with pytest.raises(InputError) as caught:
            read()
        assert str(caught.value) == said
    assert lines(summarise_studies(place))[1:] == ["demo 10 1 0 0 9", f"demo-v1 {said}"]
    assert load_named_study("demo-v1", place, ["name=demo-v2"]).name == "demo-v2"
    path.write_text(edit("name: demo", "name: demo-v1", STUDY))
    assert load_named_study("demo-v1", place, stored_first=True).name == "demo-v1"


def test_what_another_study_has_stored_is_no_beginning_of_this_one(results: Results, tmp_path: Path) -> None:
    other = Results(results.path, load(tmp_path, edit("name: demo", "name: other", STUDY)))
    other.begin(other.trials[0], 3)
    assert other.status()[2] == "begun 1"
    assert results.status() == ["demo: not running", "state trials", f"waiting {len(results.trials)}"]


def test_a_status_says_whether_the_study_runs_now(results: Results) -> None:
    assert results.status()[0] == "demo: not running"
    with locked(results.folder / ".lock", refusal="held"):
        assert results.status()[0] == "demo: running now"
        assert results.plan()[0] == "demo on digits"  # which does not disturb it
    assert results.status()[0] == "demo: not running"


def test_a_status_of_published_tables_says_that_the_trials_are_elsewhere(results: Results) -> None:
    assert "published" not in " ".join(results.status())
    results.folder.mkdir(parents=True, exist_ok=True)
    for name in ("trials.parquet", "history.parquet"):
        shutil.copy(PUBLISHED / "traversals" / name, results.folder)
    assert results.status()[1:3] == ["state trials", "finished 6"]
    assert "Its tables are here, as published" in results.status()[-1]
    results.end(results.trials[0])
    assert "published" not in " ".join(results.status())


def test_a_run_that_ended_before_its_first_trial_leaves_no_published_tables(results: Results) -> None:
    results.folder.mkdir(parents=True, exist_ok=True)
    (results.folder / "study.yaml").write_text(STUDY)
    before = results.status(), lines(summarise_studies(Folder(results.path)))[1:]
    write_tables(results.folder, build_tables(results.study, [], {}))
    assert (results.status(), lines(summarise_studies(Folder(results.path)))[1:]) == before
    assert f"waiting {len(results.trials)}" in before[0]


def test_a_cut_short_checkpoint_counts_as_nothing_stored(results: Results) -> None:
    results.begin(results.trials[0], 3)
    (checkpoint,) = TrialFolder(results.folder, results.trials[0]).list_own_states()
    checkpoint.write_bytes(checkpoint.read_bytes()[:20])
    assert results.status()[1:] == ["state trials", "waiting 10"]


def test_a_study_without_changes_reads_the_same_twice(tmp_path: Path) -> None:
    results = Results(tmp_path / "results", load(tmp_path, GOOD))
    results.end(results.trials[0])
    assert (results.plan(), results.status()) == (results.plan(), results.status())
