"""The rows of the table, what is computed of them, and the table itself."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.benchmark import comparison, options
from models.benchmark.comparison import Floor, Result, add_ratios, compare, complete, has_failed, list_rows
from models.benchmark.options import Options
from models.benchmark.processes import TaskFailedError
from models.benchmark.table import format_table
from models.benchmark.timing import Task, Timing
from models.numerics.machine import count_cores, name_cpu

FLOOR = Floor(
    device="cpu",
    precision="float32",
    mb_per_trial_step=36.7,
    mflop_per_trial_step=161.8,
    copied_mb=15.2,
    bandwidth_gb_per_second=100.0,
    products_gflop_per_second=160.0,
    ms_per_trial_step=1.0,
    set_by="operations",
)
RESULT = Result(name="x", device="cpu", loop="ours", precision="float32", num_trials=1, num_processes=1)


def make_timing(ms: float, **changes: Any) -> Timing:
    timing = Timing(ms_per_step=ms, num_steps=75, num_threads=1, has_torchvision=None, peak_memory_mb=500.0)
    return replace(timing, **changes)


def test_rows_on_a_cpu() -> None:
    rows = list_rows(Options(precision="float32", device="cpu", epochs=0), num_cores=4)
    assert [(row.task.loop, row.task.num_threads, row.task.num_trials, row.num_processes) for row in rows] == [
        ("plain", None, 1, 1),
        ("plain", 1, 1, 1),
        ("ours", None, 1, 1),
        ("ours", None, 1, 4),
        ("ours", None, 8, 1),
    ]
    assert "CPU: ours, 4 at once" in [row.name for row in rows]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that says it has one, with bf16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(options, "has_precision", lambda p, device: p == "float32" or device.type == "cuda")
    return


def test_rows_on_a_gpu(gpu: None) -> None:
    rows = list_rows(Options(device="cuda", epochs=0), num_cores=4)
    assert [(row.task.loop, row.task.precision, row.task.num_trials, row.num_processes) for row in rows] == [
        ("plain", "float32", 1, 1),
        *(
            ("ours", precision, *counts)
            for precision in ("float32", "tf32", "bf16")
            for counts in [(1, 1), (1, 8), (8, 1), (32, 1), (64, 1), (128, 1)]
        ),
    ]
    assert {row.task.device for row in rows} == {"cuda"}
    assert {row.task.chunk_steps for row in rows} == {25, 1875, 375}  # whole graphs all


def test_a_machine_with_a_gpu_is_measured_on_both(gpu: None) -> None:
    rows = list_rows(Options(epochs=0), num_cores=2)
    devices = [row.task.device for row in rows]
    assert devices == ["cpu"] * 5 + ["cuda"] * 19
    assert len({row.name for row in rows}) == len(rows)
    assert {row.task.device for row in list_rows(Options(device="cpu"), num_cores=2)} == {"cpu"}
    assert {row.task.precision for row in list_rows(Options(device="cuda", precision="bf16", epochs=0), 2)[1:]} == {
        "bf16"
    }


def test_rows_of_trained_states_stand_behind_those_at_the_start(gpu: None) -> None:
    rows = list_rows(Options(epochs=3, precision="float32"), num_cores=2)
    assert [(row.name, row.task.epochs) for row in rows if row.task.epochs] == [
        ("CPU: plain loop, 1 thread, after 3 epochs", 3),
        ("CPU: ours, one trial, after 3 epochs", 3),
        ("GPU: plain loop, after 3 epochs", 3),
        ("GPU: ours, one trial (fused K = 1), after 3 epochs", 3),
    ]


@pytest.mark.parametrize("shape", [(60_000, 28), (10, 28, 28)])
def test_images_that_are_none_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^--images: .* that can be read"):
        Options(images=str(tmp_path / "none.npy"))
    np.save(tmp_path / "odd.npy", np.zeros(shape, dtype=np.uint8))
    with pytest.raises(ValueError, match=r"^--images: .* should hold 60000 images of 28 by 28 bytes"):
        Options(images=str(tmp_path / "odd.npy"))


def test_chunks_of_large_batches_fit_the_images(gpu: None) -> None:
    for batch_size in (32, 1000, 7000, 60_000):
        for row in list_rows(Options(batch_size=batch_size), num_cores=2):
            assert row.task.chunk_steps >= 1
            assert row.task.loop == "plain" or row.task.chunk_steps * batch_size <= row.task.num_images


def test_processes_of_unequal_speed_are_counted_by_what_they_do_together() -> None:
    result = complete(
        replace(RESULT, num_trials=2, num_processes=2),
        [make_timing(2.0), make_timing(4.0, num_steps=50, peak_memory_mb=600.0)],
        FLOOR,
        num_cores=8,
        num_steps_per_epoch=1000,
    )
    assert result.ms_per_step == pytest.approx(8 / 3)
    assert result.trial_epochs_per_hour == pytest.approx(1800 + 900)  # an epoch takes 2 and 4 seconds
    assert result.floor_ms_per_step == pytest.approx(1.0)  # two trials on two cores
    assert result.fraction_of_floor == pytest.approx(3 / 8)
    assert (result.num_steps_timed_per_process, result.peak_memory_mb_per_process) == (50, 600.0)


@pytest.mark.parametrize(
    ("changes", "num_threads", "expected"),
    [
        ({"num_trials": 8}, 1, 8.0),
        ({"num_trials": 1}, 4, 0.25),
        ({"num_trials": 1}, 64, 0.125),  # more threads than the eight cores
        ({"num_trials": 8, "num_processes": 8, "device": "cuda"}, 1, 8.0),
    ],
    ids=["fused", "threads", "too many threads", "time-sliced"],
)
def test_the_floor_of_a_row_is_that_of_the_cores_it_can_use(
    changes: dict[str, Any], num_threads: int, expected: float
) -> None:
    timing = make_timing(10.0, num_threads=num_threads)
    result = replace(RESULT, **changes)
    result = complete(result, [timing] * result.num_processes, FLOOR, num_cores=8, num_steps_per_epoch=100)
    assert result.floor_ms_per_step == pytest.approx(expected)


def test_ratios_are_to_the_fastest_plain_loop_of_the_device() -> None:
    rows = [
        replace(RESULT, loop="plain", trial_epochs_per_hour=100.0),
        replace(RESULT, loop="plain", trial_epochs_per_hour=200.0),
        replace(RESULT, trial_epochs_per_hour=800.0),
        replace(RESULT, problem="out of memory"),
        replace(RESULT, device="cuda", loop="plain", problem="out of memory"),
        replace(RESULT, device="cuda", trial_epochs_per_hour=800.0),
    ]
    assert [row.ratio_to_plain_loop for row in add_ratios(rows)] == [0.5, 1.0, 4.0, None, None, None]


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Every trial's step takes 2 ms, the plain loop's 8, of trained states 3 and 10; what is fused finds no room."""

    def pretend(task: Task, num_processes: int) -> list[Timing]:
        if task.num_trials > 1:
            raise TaskFailedError("out of memory")
        plain = task.loop == "plain"
        trained = (10.0, 3.0) if task.epochs else (8.0, 2.0)
        return [
            make_timing(trained[0] if plain else trained[1], has_torchvision=False if plain else None)
        ] * num_processes

    monkeypatch.setattr(comparison, "time_processes", pretend)
    monkeypatch.setattr(comparison, "measure_floor", lambda task: FLOOR)
    lines: list[str] = []
    chosen = Options(device="cpu", precision="float32", seconds=0.1, epochs=3)
    found = compare(chosen, command="spikeslab bench", on_progress=lines.append)
    assert [line.partition(":")[0] for line in lines] == [f"{i} of 7" for i in range(1, 8)]
    return found


def test_a_report_is_plain_json_and_what_finds_no_room_ends_nothing(report: dict[str, Any]) -> None:
    assert json.loads(json.dumps(report)) == report
    assert list(report) == ["command", "date", "machine", "model", "seconds_per_row", "floors", "rows", "notes"]
    assert report["model"]["num_parameters"] == 949_384
    assert report["model"]["num_steps_per_epoch"] == 1875
    plain, _, one, several, fused, plain_trained, one_trained = report["rows"]
    assert plain["trial_epochs_per_hour"] == pytest.approx(240)  # an epoch takes 15 seconds
    assert one["ratio_to_plain_loop"] == pytest.approx(4)
    assert several["trial_epochs_per_hour"] == pytest.approx(several["num_processes"] * 960)
    assert (fused["problem"], fused["ms_per_step"]) == ("out of memory", None)
    assert [row["ratio_to_start"] for row in (one, plain_trained, one_trained)] == [None, 1.25, 1.5]
    assert one_trained["ratio_to_plain_loop"] == pytest.approx(10 / 3)
    assert one_trained["name"] == "CPU: ours, one trial, after 3 epochs"
    assert not has_failed(report)
    report["rows"][0]["problem"] = "ValueError: no"
    assert has_failed(report)


def test_the_table_names_machine_command_rows_and_floors(report: dict[str, Any]) -> None:
    lines = format_table(report).splitlines()
    assert "floor on the" not in format_table(report, explain=False)
    text = " ".join(line.strip() for line in lines)
    for words in (
        f"machine  {name_cpu()}, {count_cores()} cores",
        "no GPU",
        f"torch {torch.__version__}",
        "command  spikeslab bench",
        report["date"],
        "VSC 784-400-200, alpha 0.01, 949,384 parameters; batch 32; 1,875 steps an epoch; images: generated",
        "no evaluation",
        "36.7 MB at 100 GB/s (copying within 15 MB), 161.8 Mflop at 160 Gflop/s: 1.000 ms a step of one trial",
        "torchvision cannot be imported here",
    ):
        assert words in text
    one, trained = (line for line in lines if line.startswith("CPU: ours, one trial"))
    assert one.split()[-8:] == ["1", "2.000", "960", "4.00", "-", "500", "1.000", "50%"]
    assert trained.split()[-8:] == ["1", "3.000", "640", "3.33", "1.50", "500", "1.000", "33%"]
    assert [line.split()[-3:] for line in lines if "fused" in line] == [["out", "of", "memory"]]
    assert max(map(len, lines)) <= 120
