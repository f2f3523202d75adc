"""Commands that need no Ray: plan, status, plot, collect, best, report, export, data."""

import io
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from analysis.figures.draw import FIGURES
from analysis.tables.confirmed import compute_confirmed
from harness.cli.main import app
from harness.study.file import load_study
from harness.tracking.mlflow_store import MlflowStore
from tests.e2e.conftest import REPOSITORY, STUDY, Spikeslab
from tests.harness.training import train_here


@pytest.fixture(scope="module")
def half_trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results in which half of the study's trials have been trained."""
    home = tmp_path_factory.mktemp("half")
    (home / "tiny.yaml").write_text(STUDY)
    train_here(load_study(home / "tiny.yaml"), home / "results", at_most=4)
    return home / "results"


@pytest.fixture
def trained(folder: Path, half_trained: Path) -> Path:
    """A folder of the user's, in which half of a study's trials have been trained; it asks for few figures."""
    shutil.copytree(half_trained, folder / "results")
    (folder / "tiny.yaml").write_text(STUDY + "figures: [elbo_by_latent_dim, convergence]\n")
    return folder


def test_plan_counts_what_is_done_and_left(spikeslab: Spikeslab, trained: Path) -> None:
    done = spikeslab("plan", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["vae", "4", "2", "2", "6"] in rows
    assert ["vsc", "0.2", "2", "1", "1", "3"] in rows
    assert "Estimated time:" in done.stdout


def test_the_example_of_plugins_is_planned_from_anywhere(spikeslab: Spikeslab) -> None:
    done = spikeslab("plan", str(REPOSITORY / "docs" / "plugin-example" / "laplace.yaml"))
    assert done.returncode == 0, done.stderr
    assert re.search(r"laplace +8 +0 +8 +24", done.stdout)


def test_plan_starts_nothing(spikeslab_here: Spikeslab, folder: Path) -> None:
    assert spikeslab_here("plan", "tiny.yaml").returncode == 0
    assert not (folder / "results").exists()


def test_plan_of_an_adaptive_study_counts_what_is_not_yet_proposed(spikeslab_here: Spikeslab, folder: Path) -> None:
    done = spikeslab_here("plan", str(REPOSITORY / "studies" / "example-tpe.yaml"))
    assert done.returncode == 0, done.stderr
    assert re.search(r"not yet proposed by tpe\s+24\s+0\s+24", done.stdout)
    assert not (folder / "results").exists()


def test_status_counts_states(spikeslab_here: Spikeslab, trained: Path) -> None:
    done = spikeslab_here("status", "tiny.yaml")
    assert done.returncode == 0, done.stderr
    assert "not running" in done.stdout
    assert re.search(r"finished\s+4", done.stdout)
    assert re.search(r"waiting\s+4", done.stdout)


def test_plot_draws_from_the_tables_alone(spikeslab: Spikeslab, spikeslab_here: Spikeslab, trained: Path) -> None:
    (trained / "results" / "tiny" / "study.yaml").write_text((trained / "tiny.yaml").read_text())
    done = spikeslab("plot", "tiny.yaml", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    imported = set(re.findall(r"\|\s+(\w[\w.]*)$", done.stderr, re.MULTILINE))
    assert "matplotlib.figure" in imported
    assert not imported & {"ray", "torch", "mlflow", "optuna"}
    assert "elbo_by_latent_dim: elbo_by_latent_dim.png and elbo_by_latent_dim.pdf" in done.stdout
    assert (trained / "results" / "tiny" / "figures" / "convergence.pdf").exists()
    several = spikeslab_here("plot", "gone", "tiny.yaml", "--out", "drawn")
    assert several.returncode == 2
    assert several.stderr.startswith("error: gone: no study of that name")
    assert (trained / "drawn" / "tiny" / "convergence.pdf").exists()
    by_name = spikeslab_here("plot", "tiny")
    assert by_name.stdout == done.stdout


def test_figures_that_nobody_asked_for_and_that_cannot_be_drawn_are_counted_and_named_on_demand(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    text = re.sub(r"^figures:.*\n", "", (trained / "tiny.yaml").read_text(), flags=re.MULTILINE)
    (trained / "results" / "tiny" / "study.yaml").write_text(text)
    monkeypatch.setattr("analysis.figures.draw.FIGURES", {name: FIGURES[name] for name in ("traversals", "latents")})
    brief, verbose = (CliRunner().invoke(app, ["plot", "tiny", *more]).output for more in ([], ["--verbose"]))
    assert "2 other figures cannot be drawn from these tables: see --verbose" in brief
    assert "not drawn" not in brief
    assert "traversals: not drawn, the study stored no exhibits" in verbose


def test_bare_figures_are_pdfs_in_a_folder_of_their_own(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.setattr("analysis.figures.draw.FIGURES", {"convergence": FIGURES["convergence"]})
    results = trained / "results" / "tiny"
    (results / "study.yaml").write_text((trained / "tiny.yaml").read_text())
    done = CliRunner().invoke(app, ["plot", "tiny", "--bare"])
    assert done.output == "results/tiny/figures/bare:\n  convergence: convergence.pdf, numbers in convergence.csv\n"
    assert {path.name for path in (results / "figures" / "bare").iterdir()} == {"convergence.pdf", "convergence.csv"}


def test_collect_sends_what_mlflow_lacks(spikeslab: Spikeslab, trained: Path) -> None:
    first = spikeslab("collect", "tiny.yaml")
    assert first.returncode == 0, first.stderr
    assert "4 trials sent to MLflow, 0 restored" in first.stdout
    second = spikeslab("collect", "tiny.yaml")
    assert "0 trials sent to MLflow" in second.stdout
    trials = pd.read_parquet(trained / "results" / "tiny" / "trials.parquet")
    assert trials.mlflow_run_id.notna().all()


def test_collect_from_a_server_that_does_not_answer_is_one_sentence(spikeslab: Spikeslab, folder: Path) -> None:
    nowhere = {"MLFLOW_TRACKING_URI": "http://alice:s3cret@127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    done = spikeslab("collect", "gone", **nowhere)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: http://***@127.0.0.1:9: MLflow cannot be used")
    assert "s3cret" not in done.stdout + done.stderr
    assert not (folder / "results").exists()


SEARCH = """\
# Which latent dimension is best? (a study for tests)
name: NAME
dataset: digits
defaults: {hidden: [16], batch_size: 128, epochs: 2, num_validation: 250}
space:
  - {model: vae, latent_dim: {int: [2, 9]}}
search: {sampler: SAMPLER, num_trials: 3}
evaluate: [elbo]
figures: [best_so_far, confirmed]
resources: {cpu: 2}
"""


def list_winners(folder: Path, study: str) -> list[str]:
    """The trials whose models MLflow has as winners."""
    store = MlflowStore(study, folder / "results", create=False)
    return [model.tags["spikeslab.trial_id"] for model in store.client.search_logged_models([store.experiment_id])]


def test_best_compare_and_report_after_a_search(
    spikeslab: Spikeslab, spikeslab_here: Spikeslab, folder: Path, ray_cluster: str
) -> None:
    searches = {name: SEARCH.replace("NAME", name) for name in ("first", "second")}
    text = searches["first"].replace("SAMPLER", "random")
    (folder / "first.yaml").write_text(text + "confirm: {top: 2, seeds: [0, 1]}\n")
    (folder / "second.yaml").write_text(searches["second"].replace("SAMPLER", "quasirandom"))
    early = spikeslab_here("best", "first.yaml")
    assert (early.returncode, early.stderr.count("\n")) == (2, 1)
    assert "trials.parquet does not exist" in early.stderr
    assert spikeslab("run", "first.yaml", "--address", ray_cluster).returncode == 0
    train_here(load_study(folder / "second.yaml"), folder / "results")
    shutil.copy(folder / "second.yaml", folder / "results/second/study.yaml")

    found = spikeslab_here("best", "first")
    assert found.returncode == 0, found.stderr
    assert "first on digits, confirmed over 2 seeds, on all training images" in found.stdout
    assert re.search(r"winner  VAE.*\n.*test ELBO .* nats per image, 2 seeds", found.stdout)
    assert re.search(r"paired by seed: .*(they differ|it is undecided whether they differ)", found.stdout)
    trials = pd.read_parquet(folder / "results/first/trials.parquet")
    assert sorted(trials.phase) == ["confirm"] * 4 + ["search"] * 3 + ["select"] * 4
    checkpoints = re.findall(r"Checkpoint, seed \d: (.*)", found.stdout)
    assert len(checkpoints) == 2
    assert all((folder / path).is_file() for path in checkpoints)
    winner = compute_confirmed(trials, pd.read_parquet(folder / "results/first/history.parquet")).iloc[0]
    of_first_seed = winner["trial_by_seed"][min(winner["trial_by_seed"])]
    assert list_winners(folder, "first") == [of_first_seed]
    compared = spikeslab("compare", "first", "second")
    assert compared.returncode == 0, compared.stderr
    assert (folder / "comparison" / "best_so_far.png").is_file()

    reported = spikeslab("report", "first")
    assert reported.returncode == 0, reported.stderr
    markdown = (folder / "results/report/report.md").read_text()
    assert "Which latent dimension is best? (a study for tests)" in markdown
    assert "winner, chosen on validation images" in markdown
    assert '<svg role="img"' in (folder / "results/report/report.html").read_text()

    # Edited since, it asks for other trials, and that is said.
    (folder / "first.yaml").write_text(text.replace("[2, 9]", "[20, 29]"))
    changed = spikeslab_here("best", "first.yaml")
    assert "trained trials are not of the study's file as it is now, and are not counted." in changed.stdout

    # The settings are a study as they stand, and its trial is the confirmed one.
    space = found.stdout[found.stdout.index("space:") : found.stdout.index("Checkpoint")]
    seed = re.findall(r"Checkpoint, seed (\d): ", found.stdout)[0]  # none of the search's
    (folder / "again.yaml").write_text(
        f"name: first\ndataset: digits\n{space}seeds: [{seed}]\nevaluate: [elbo]\nfigures: []\n"
    )
    assert "1 of 1 trials done (nothing to train)" in spikeslab("run", "again.yaml").stdout


def test_a_study_that_chooses_nothing_has_no_best(spikeslab_here: Spikeslab, trained: Path) -> None:
    done = spikeslab_here("best", "tiny.yaml")
    assert done.returncode == 2
    assert "tiny: its trials are compared by test/loss" in done.stderr
    assert "add confirm: {top: 5}" in done.stderr
    never = spikeslab_here("best", "tiny.yaml", "--results", "nothing")
    assert "trials.parquet does not exist" in never.stderr


def test_a_damaged_history_of_a_sampler_is_named_with_the_way_out(spikeslab_here: Spikeslab, folder: Path) -> None:
    (folder / "results" / "tiny").mkdir(parents=True)
    (folder / "results" / "tiny" / "optuna.db").write_text("no database" * 100)
    text = (
        (folder / "tiny.yaml").read_text().replace("seeds: [0, 1]", "seeds: [0]\nsearch: {sampler: tpe, num_trials: 4}")
    )
    (folder / "tiny.yaml").write_text(text)
    done = spikeslab_here("status", "tiny.yaml")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "optuna.db: is damaged (file is not a database); `spikeslab collect tiny` restores it" in done.stderr


def test_a_stored_study_that_no_longer_loads_is_missing_from_the_report(spikeslab: Spikeslab, trained: Path) -> None:
    for name in ("tiny", "other"):
        (trained / "results" / name).mkdir(exist_ok=True)
        (trained / "results" / name / "study.yaml").write_text((trained / "tiny.yaml").read_text())
    path = trained / "results" / "other" / "study.yaml"
    path.write_text(path.read_text().replace("name: tiny", "name: other").replace("seeds:", "sedes:"))
    done = spikeslab("report")
    assert done.returncode == 0, done.stderr
    page = (trained / "results" / "report" / "report.md").read_text()
    assert "sedes: unknown key; did you mean seeds?" in page
    assert "tiny/" in page
    named = spikeslab("report", "other")
    assert (named.returncode, named.stderr[:7]) == (2, "error: ")


def test_a_study_file_that_is_no_text_is_missing_from_the_report_alone(spikeslab: Spikeslab, trained: Path) -> None:
    text = (trained / "tiny.yaml").read_text()
    for name in ("tiny", "other"):
        (trained / "results" / name).mkdir(exist_ok=True)
        (trained / "results" / name / "study.yaml").write_text(text.replace("name: tiny", f"name: {name}"))
    (trained / "results/other/study.yaml").write_bytes(b"# Sch\xf6n?\n" + text.encode())
    (trained / "results/tiny/study.yaml").write_text(text, encoding="utf-8-sig")  # as Notepad saves it
    done = spikeslab("report")
    assert done.returncode == 0, done.stderr
    page = (trained / "results" / "report" / "report.md").read_text()
    assert "**Missing:** results/other/study.yaml: cannot be read (it is not UTF-8 text); save it as UTF-8" in page
    assert "Which is better? (a study for tests)" in page
    assert (trained / "results/report/figures/tiny/convergence.svg").exists()


def test_results_that_cannot_be_written_to_can_be_looked_at(
    spikeslab: Spikeslab, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def list_files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (trained / "results").rglob("*")}

    (trained / "results/tiny/study.yaml").write_text((trained / "tiny.yaml").read_text())
    before = list_files()
    for words in ("plan tiny", "status tiny", "plot tiny --out drawn", "report --out page"):
        done = spikeslab(*words.split())
        assert (done.returncode, done.stderr) == (0, ""), words
        assert list_files() == before, words
    assert (trained / "drawn" / "tiny" / "convergence.png").exists()
    assert (trained / "page" / "report.html").exists()
    (trained / "results/tiny/figures").write_text("in the way")  # for root, permissions are no obstacle
    (trained / "results/report").write_text("in the way")
    for words in ("plot tiny", "report"):
        done = spikeslab(*words.split())
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "cannot be written to (File exists); choose another folder with --out" in done.stderr


def test_what_is_published_needs_no_images_to_be_looked_at(spikeslab_here: Spikeslab) -> None:
    published = ("--results", str(REPOSITORY / "studies" / "published"))
    done = spikeslab_here("best", "open-hyperparameters-vsc", *published)  # on MNIST, which is not here
    assert done.returncode == 0, done.stderr
    assert "confirmed over 2 seeds" in done.stdout  # the third was the search's own
    assert done.stdout.endswith("Checkpoints: none here, as tables alone were published.\n")
    assert "run the study again" not in done.stdout


def test_export_writes_the_table_of_published_configurations_in_each_format(
    spikeslab: Spikeslab, spikeslab_here: Spikeslab, folder: Path
) -> None:
    published = ("--results", str(REPOSITORY / "studies" / "published"))
    words = ("export", "elbo-vs-latent-dim", *published)
    printed = spikeslab(*words, PYTHONPROFILEIMPORTTIME="1")
    assert printed.returncode == 0, printed.stderr
    assert not set(re.findall(r"\|\s+(\w[\w.]*)$", printed.stderr, re.MULTILINE)) & {"ray", "torch", "mlflow", "optuna"}
    csv = pd.read_csv(io.StringIO(printed.stdout))
    assert len(csv) == 28
    is_primary = csv["latent_dim"].isin([24, 200])
    assert csv["num_seeds"].tolist() == [10 if primary else 5 for primary in is_primary]
    written = spikeslab_here(*words, "--format", "parquet", "--out", "here/table.parquet")
    assert written.stdout == "here/table.parquet\n"
    parquet = pd.read_parquet(folder / "here" / "table.parquet")
    pd.testing.assert_frame_equal(csv, parquet, check_dtype=False)
    latex = spikeslab_here(*words, "--format", "latex", "--metric", "test/elbo")
    assert r"VAE & 8 & -- & $-111.41 \pm 0.25$ & 5 \\" in latex.stdout  # as the published report has it
    assert spikeslab_here(*words, "--metric", "test/elbo", "--out", "table.tex").returncode == 0
    assert (folder / "table.tex").read_text() == latex.stdout
    wrong = spikeslab_here(*words, "--metric", "test/x")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "elbo-vs-latent-dim: no trial has test/x; choose with --metric among" in wrong.stderr


def test_the_best_of_several_metrics_are_the_trials_of_its_front(spikeslab_here: Spikeslab) -> None:
    published = REPOSITORY / "studies" / "published"
    done = spikeslab_here("best", "rate-distortion-quick", "--results", str(published))
    assert done.returncode == 0, done.stderr
    trials = pd.read_parquet(published / "rate-distortion-quick" / "trials.parquet")
    history = pd.read_parquet(published / "rate-distortion-quick" / "history.parquet")
    reached = history.sort_values("epoch").groupby("trial_id")[["val/rate", "val/distortion"]].last()
    points = reached.loc[trials.loc[trials["status"] == "finished", "trial_id"]]
    front = [
        name
        for name, point in points.iterrows()
        if not ((points <= point).all(axis=1) & (points < point).any(axis=1)).any()
    ]
    assert sorted(re.findall(r"^([0-9a-f]{16}) ", done.stdout, re.MULTILINE)) == sorted(front)
    assert f"Of {len(points)} finished trials, {len(front)} are on the front: no other is as good" in done.stdout


def test_a_population_has_no_best(spikeslab_here: Spikeslab, folder: Path) -> None:
    text = SEARCH.replace("NAME", "population").replace("SAMPLER, num_trials: 3", "random, num_trials: 4")
    text = text.replace("latent_dim: {int: [2, 9]}", "latent_dim: 2, learning_rate: {loguniform: [1.0e-4, 1.0e-2]}")
    (folder / "population.yaml").write_text(text + "scheduler: {name: pbt, interval: 1}\n")
    done = spikeslab_here("best", "population.yaml")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "population: pbt does not end with one configuration" in done.stderr


def test_data_commands(spikeslab_here: Spikeslab, folder: Path) -> None:
    listed = spikeslab_here("data", "list")
    assert listed.returncode == 0
    assert re.search(r"digits\s+embedded", listed.stdout)
    assert "spikeslab data fetch mnist" in listed.stdout
    assert spikeslab_here("data", "verify", "digits").returncode == 0
    assert spikeslab_here("data", "fetch", "digits").returncode == 0
    (folder / "mnist").mkdir()
    (folder / "mnist" / "train-images-idx3-ubyte").write_bytes(b"nonsense")
    wrong = spikeslab_here("data", "verify", "mnist", "--data", ".")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: ")


def test_publish_plans_what_a_list_lacks(spikeslab_here: Spikeslab, folder: Path) -> None:
    (folder / "list.yaml").write_text("studies:\n  - study: tiny.yaml\n    set: {epochs: 7}\n")
    (folder / "tiny.yaml").write_text(STUDY)
    done = spikeslab_here("publish", "list.yaml", "--into", "kept", "--plan")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^tiny +(\d+) +\1 +unknown", done.stdout, re.MULTILINE)
    assert not (folder / "kept").exists()
    wrong = spikeslab_here("publish", "nowhere.yaml")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
