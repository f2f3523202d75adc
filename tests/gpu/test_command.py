"""`make gpu`: what it says without a card, and its parts rehearsed on the CPU, where only PyTorch is installed."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from models.benchmark.timing import Task
from models.training.make_trainer import make_trainer
from models.training.trainer import Trainer
from tests.gpu import __main__ as command
from tests.gpu import bench, check
from tests.gpu.bench import judge, judge_goal
from tests.gpu.check import COLUMNS, SUITE, read_results
from tests.gpu.parts import SECONDS, Report, format_report
from tests.gpu.study import STUDIES, list_commands, run_command
from tests.models.training.stacked.compiling import let_compile

ROOT = Path(__file__).parents[2]
ABSENT = ("pydantic", "ray", "mlflow", "optuna", "hypothesis", "platformdirs", "torchvision", "yaml", "typer")


def test_without_a_card_it_says_what_it_needs_and_exits_with_2(tmp_path: Path) -> None:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu", "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "make gpu needs a graphics card that torch sees (CUDA); this machine has none.\n"
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("parts", ["bench,dance", ""])
def test_a_part_that_there_is_not_is_refused(parts: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        command.main(["--parts", parts])
    assert error.value.code == 2
    assert "is not some of check,bench,study" in capsys.readouterr().err


def test_make_gpu_runs_the_parts_that_are_chosen() -> None:
    done = subprocess.run(
        ["make", "-n", "gpu", "GPU=check,bench", "OUT=there"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "python -m tests.gpu --parts 'check,bench' --out 'there'" in done.stdout


def test_every_part_runs_where_only_pytorch_is_installed(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({ABSENT!r}))\n")
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu", "--device", "cpu", "--only", "resumed_gives", "--out", str(out)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if importlib.util.find_spec("xdist"):
        assert "2 workers [1 item]" in (out / "check.log").read_text()
    checked, timed, study = (json.loads((out / f"{part}.json").read_text()) for part in ("check", "bench", "study"))
    assert [(row["suite"], row["passed"], row["failed"]) for row in checked["rows"]] == [
        (SUITE[0], 1, 0),
        (SUITE[1], 0, 0),
        (SUITE[2], 0, 0),
    ]
    rows = [(row["subject"], row["num_trials"]) for row in timed["rows"]]
    models = ("mnist", "mnist, epochs of 47 steps", "celeba", "conv", "conv, channels first", "mnist")
    assert rows == [("mnist", 2), *((name, 1) for name in models)]
    assert all(row["ms_per_step"] > 0 for row in timed["rows"])
    assert study["notes"] == [
        "study was left out: this machine lacks ray, pydantic, yaml, typer, optuna, platformdirs."
    ]
    assert (out / "bench.md").read_text().splitlines()[2].startswith("| Model | Precision | Trials | ms a step |")
    assert {"gpu", "torch", "python"} <= checked["machine"].keys()


def test_a_check_that_checks_nothing_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKESLAB_DEVICE", "cpu")
    given = ["--device", "cpu", "--parts", "check", "--only", "no_such_test", "--out", str(tmp_path)]
    assert command.main(given) == 1
    assert "PROBLEM: pytest ended with 5" in (tmp_path / "check.md").read_text()


def test_a_part_that_breaks_is_told_and_the_next_one_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(part: str) -> object:
        def run(*_: object) -> Report:
            if part == "check":
                raise RuntimeError("the card fell off")
            return Report({"a": "A"}, rows=[{"a": 1234.5}])

        return run

    monkeypatch.setenv("SPIKESLAB_DEVICE", "cpu")
    monkeypatch.setattr(command, "load", load)
    assert command.main(["--device", "cpu", "--parts", "check,bench", "--out", str(tmp_path)]) == 1
    assert "PROBLEM: RuntimeError: the card fell off" in (tmp_path / "check.md").read_text()
    assert "| 1,234 |" in (tmp_path / "bench.md").read_text()


def test_a_part_that_breaks_keeps_what_it_has_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(device: str, out: Path, only: str, tell: Callable[[Report], None]) -> Report:
        tell(Report({"a": "A"}, rows=[{"a": 1234.5}]))
        raise RuntimeError("the card fell off")

    monkeypatch.setenv("SPIKESLAB_DEVICE", "cpu")
    monkeypatch.setattr(command, "load", lambda _: run)
    assert command.main(["--device", "cpu", "--parts", "bench", "--out", str(tmp_path)]) == 1
    told = json.loads((tmp_path / "bench.json").read_text())
    assert (told["rows"], told["problems"]) == ([{"a": 1234.5}], ["RuntimeError: the card fell off"])


def test_a_row_keeps_what_was_measured_before_it_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the card fell off")

    task = Task(loop="ours", device="cpu", latent_dim=3, batch_size=8, seconds=0.001, num_images=16)
    report = Report({})
    monkeypatch.setattr(bench, "measure_floor", fail)
    row = bench.time_row(task, {}, report)
    assert row["ms_per_step"] > 0
    monkeypatch.setattr(bench, "time_task", fail)
    assert "ms_per_step" not in bench.time_plain(task, report)
    assert report.problems == [
        f"{name}: RuntimeError: the card fell off" for name in ("1 trials of mnist in float32", "the plain loop")
    ]


@pytest.mark.filterwarnings("ignore:steps take longer")
def test_what_could_not_be_compiled_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise FileNotFoundError("gcc")

    let_compile(monkeypatch, fail)
    report = Report({})
    task = Task(loop="ours", device="cpu", latent_dim=3, batch_size=8, seconds=0.001, num_images=16)
    for _ in range(2):
        assert "problem" not in bench.time_row(task, {}, report)
    assert "not compiled, and so slow: sample_codes: FileNotFoundError: gcc" in report.problems
    assert len(report.problems) == len(set(report.problems))
    assert report.details["compiled"]["sample_codes"] == "FileNotFoundError: gcc"


def let_profiler_see(monkeypatch: pytest.MonkeyPatch, *counts: int) -> None:
    """Let the sessions of torch's profiler see so many kernels of a card, one after the other."""
    kernel = SimpleNamespace(device_type=torch.autograd.DeviceType.CUDA, is_user_annotation=False)
    sessions = iter(counts)

    @contextmanager
    def profile(**_: object) -> Iterator[Any]:
        events = [kernel] * next(sessions)
        yield SimpleNamespace(events=lambda: events)

    monkeypatch.setattr(torch.profiler, "profile", profile)


@pytest.mark.parametrize("counts", [(0, 0), (0, 150), (150, 150), (150, 50)])
def test_launches_that_the_profiler_did_not_see_are_not_measured(
    counts: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    let_profiler_see(monkeypatch, *counts)
    task = Task(loop="ours", device="cpu", latent_dim=3, batch_size=8, seconds=0.001)
    with pytest.raises(RuntimeError, match=f"saw {counts[0]} launches in 5 steps and {counts[1]} in 15"):
        bench.count_launches(task)


def test_launches_are_counted_of_as_many_trials_as_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    trainers: list[Trainer] = []

    def keep(*args: Any, **kwargs: Any) -> Trainer:
        trainers.append(make_trainer(*args, **kwargs))
        return trainers[-1]

    let_profiler_see(monkeypatch, 500, 1500)
    monkeypatch.setattr(bench, "make_trainer", keep)
    task = Task(loop="ours", device="cpu", latent_dim=3, batch_size=2, seconds=0.001, num_trials=3)
    assert bench.count_launches(task) == 100
    assert [len(trainer.members) for trainer in trainers] == [3]


def test_a_check_that_takes_too_long_tells_what_has_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_both.py").write_text(
        "import time\ndef test_quick(): pass\ndef test_wrong(): assert 0\ndef test_slow(): time.sleep(60)\n"
    )
    monkeypatch.setattr(check, "ROOT", tmp_path)
    monkeypatch.setattr(check, "SUITE", ("test_both.py",))
    monkeypatch.setitem(SECONDS, "check", 12)
    report = check.run_check("cpu", tmp_path, "", lambda _: None)
    assert report.rows == [{"suite": "test_both.py", "passed": 1, "failed": 1, "skipped": 0}]
    assert report.details == {"passed": ["test_both.py::test_quick"]}
    assert report.problems == [
        "the tests took longer than 12 s: see check.log",
        "test_both.py::test_wrong: FAILED",
    ]


def test_outcomes_are_read_with_xdist_and_without(tmp_path: Path) -> None:
    log, report = tmp_path / "check.log", Report(COLUMNS)
    log.write_text(
        f"{SUITE[0]}::test_a[x y] PASSED   [ 50%]\n{SUITE[0]}::test_b SKIPPED (no bf16 here) [ 90%]\n"
        f"[gw0] [ 70%] PASSED {SUITE[1]}::test_c[1e-3] \n[gw1] [ 80%] ERROR {SUITE[1]}::test_d \n"
        f"{SUITE[0]}::test_runs \nsome words PASSED\n"
    )
    check.read_log(log, report)
    assert [tuple(row.values())[1:] for row in report.rows] == [(1, 0, 1), (1, 1, 0), (0, 0, 0)]
    assert report.details["passed"] == [f"{SUITE[0]}::test_a[x y]", f"{SUITE[1]}::test_c[1e-3]"]


def test_nothing_of_what_took_too_long_runs_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert check.run_within(5, ["sh", "-c", "sleep 60 & echo $!; wait"], log, "cpu") is None
    child = int(log.read_text())
    until = time.monotonic() + 10
    while is_alive(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_alive(child)


def is_alive(process: int) -> bool:
    """Whether a process runs: one that has ended may wait for its parent to look."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("script", "counts", "notes", "problems"),
    [
        ("echo fine", (1, 0, 0), [], []),
        (
            "echo '========= Error: Device not supported'; exit 9",
            (0, 0, 1),
            ["compute-sanitizer was left out: it says 'Device not supported' here."],
            [],
        ),
        ("exit 9", (0, 1, 0), [], ["compute-sanitizer ended with 9: see sanitizer.log"]),
        ("exec sleep 60", (0, 0, 0), [], ["compute-sanitizer took longer than the 1 s that were left"]),
    ],
)
def test_the_memory_checker_is_believed_where_it_can_watch_the_card(
    script: str,
    counts: tuple[int, int, int],
    notes: list[str],
    problems: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake, report = tmp_path / "compute-sanitizer", Report(COLUMNS)
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(check, "LEAST_SECONDS", 0)
    check.watch_memory("cpu", 1.0 if "sleep" in script else 20.0, tmp_path, report)
    (row,) = report.rows
    assert (row["passed"], row["failed"], row["skipped"]) == counts
    assert (report.notes, report.problems) == (notes, problems)


def test_the_memory_checker_has_what_time_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report(COLUMNS)
    monkeypatch.setattr(check.shutil, "which", lambda _: "there")
    check.watch_memory("cuda", 3.0, tmp_path, report)
    monkeypatch.setattr(check.shutil, "which", lambda _: None)
    check.watch_memory("cuda", 99.0, tmp_path, report)
    assert report.problems == ["no time was left for compute-sanitizer"]
    assert report.notes == ["compute-sanitizer was left out: this machine has none."]


def test_failures_are_counted_and_named(tmp_path: Path) -> None:
    module = SUITE[0].removesuffix(".py").replace("/", ".")
    cases = "".join(
        f'<testcase classname="{module}" name="{name}" time="1.5">{inside}</testcase>'
        for name, inside in (("a", ""), ("b", '<failure message="wrong&#10;more"/>'), ("c", "<skipped/>"))
    )
    (tmp_path / "check.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    report = Report(COLUMNS)
    read_results(tmp_path / "check.xml", report)
    assert report.rows[0] == {"suite": SUITE[0], "passed": 1, "failed": 1, "skipped": 1, "seconds": 4.5}
    assert report.problems == [f"{SUITE[0]}::b: wrong"]


def test_goals_are_met_missed_or_not_measured() -> None:
    row = {"subject": "mnist", "precision": "float32", "num_trials": 64}
    rows = [row | {"seconds_per_trial_epoch": 0.03, "fraction_of_floor": 0.4}, row | {"subject": "celeba"}]
    assert [line.rpartition(" ")[2] for line in judge(rows)] == ["measured.", "met.", "MISSED.", "measured."]
    assert judge_goal("launches", 61.0, 60, False) == "- launches: 61 (at most 60): MISSED."


def test_the_parts_take_at_most_eight_minutes() -> None:
    assert sum(SECONDS.values()) <= 480


def test_figure_1_is_run_at_its_25_latent_dimensions_with_both_shares(tmp_path: Path) -> None:
    commands = list_commands("cuda", tmp_path)
    assert [(name, share) for name, share, _ in commands] == [(n, s) for s in ("auto", "0.02") for n in STUDIES]
    for name, share, arguments in commands:
        assert (ROOT / "studies" / f"{name}.yaml").exists()
        assert f"--set=resources.gpu={share}" in arguments


def test_a_study_that_takes_too_long_is_ended_and_told(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "print('begun', flush=True); import time; time.sleep(60)"]
    row = run_command("sleep", "auto", program, 2.0, tmp_path)
    assert (row["status"], row["last"]) == ("stopped after 2 s", "begun")


@pytest.mark.slow
def test_studies_run_by_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The quickstart, small and on the CPU: what a card's study takes besides the card."""
    monkeypatch.setenv("SPIKESLAB_DEVICE", "cpu")
    status = command.main(["--device", "cpu", "--parts", "study", "--out", str(tmp_path)])
    assert status == 0, (tmp_path / "study.md").read_text()
    assert (tmp_path / "results-gpu-0" / "quickstart" / "trials.parquet").exists()


@pytest.mark.parametrize("file", ["BENCHMARKS.md", "CONTRIBUTING.md", "README.md"])
def test_it_is_documented(file: str) -> None:
    assert "`make gpu`" in (ROOT / file).read_text(encoding="utf-8")


def test_the_line_for_a_bare_machine_stands_in_the_benchmarks_and_in_the_help() -> None:
    assert command.LINE in (ROOT / "BENCHMARKS.md").read_text()
    help_text = subprocess.run(
        [sys.executable, "-m", "tests.gpu", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert " ".join(command.LINE.split()) in " ".join(help_text.split())


def test_a_table_without_rows_is_none() -> None:
    assert format_report(Report({"a": "A"}, notes=["nothing"])) == "nothing"
