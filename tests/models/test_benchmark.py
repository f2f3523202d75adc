"""The benchmark counts as a hand does, times what it says, and needs torch alone."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.benchmark import comparison, options, processes
from models.benchmark.__main__ import main
from models.benchmark.comparison import Floor, Result, add_ratios, compare, complete, has_failed, list_rows
from models.benchmark.floor import (
    Layer,
    Rates,
    Work,
    compute_floor,
    count_work,
    list_layers,
    measure_bandwidth,
    measure_products,
)
from models.benchmark.options import Options
from models.benchmark.plain_loop import PlainVSC, _convert, has_torchvision, make_transform, resume, train_plainly
from models.benchmark.processes import TaskFailedError, time_processes
from models.benchmark.subjects import MNIST, SUBJECTS
from models.benchmark.table import format_table
from models.benchmark.timing import Task, Timing, make_images, time_task
from models.build import build_model
from models.numerics.computing import computing
from models.numerics.machine import count_cores, name_cpu, read_peak_memory
from tests.models.cases import DIGITS, at, make_generator, make_noise, make_settings, train

TINY = Task(loop="ours", device="cpu", latent_dim=3, batch_size=16, seconds=1e-3, chunk_steps=2, num_images=64)
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


# The floor


def test_work_of_two_small_layers_is_what_a_hand_counts() -> None:
    layers = [Layer(3, 2), Layer(1, 4)]  # 6 + 4 weights and 2 + 4 biases
    work = count_work(layers, 5, "float32")
    assert work.num_parameters == 16
    assert work.state_bytes == 16 * 16  # parameter, gradient and two moments of four bytes each
    assert work.num_bytes == 16 * 8 * 4 + (10 + 4) * 4  # forward reads all weights, backward not the first layer's
    assert work.num_operations == 2 * 5 * (10 + 10 + 4)
    assert count_work(layers, 5, "bf16").num_bytes == 16 * 8 * 4 + (10 + 4) * 2


def test_work_of_the_reports_largest_model() -> None:
    layers = list_layers(MNIST.make_settings(), MNIST.image_shape)
    assert layers == [Layer(784, 400), Layer(400, 600), Layer(200, 400), Layer(400, 784)]
    work = count_work(layers, 32, "float32")
    assert (work.num_parameters, work.num_bytes, work.num_operations) == (949_384, 36_703_488, 161_792_000)


def test_the_number_of_parameters_is_that_of_the_model() -> None:
    with torch.random.fork_rng(devices=[]):
        model = PlainVSC(20, 7, 3, 0.2)
    layers = list_layers(MNIST.make_settings(latent_dim=3, hidden=(7,)), (1, 4, 5))
    assert count_work(layers, 1, "float32").num_parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", SUBJECTS)
def test_work_of_each_model_is_that_of_its_layers(name: str) -> None:
    """Multiplications are counted from what the model's layers put out."""
    settings, shape = SUBJECTS[name].make_settings(), SUBJECTS[name].image_shape
    model = build_model(settings, shape, is_drawn=False)
    work = count_work(list_layers(settings, shape), 1, "float32")
    assert work.num_parameters == sum(p.numel() for p in model.parameters())
    counted: list[int] = []

    def count(layer: nn.Module, given: tuple[Tensor], out: Tensor) -> None:
        weight = layer.get_parameter("weight")
        places = out if isinstance(layer, nn.Conv2d) else given[0] if isinstance(layer, nn.ConvTranspose2d) else None
        counted.append(weight.numel() * (1 if places is None else places[0, 0].numel()))

    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    for half, shape_in in ((model.encoder, shape), (model.decoder, (settings.latent_dim,))):
        half(torch.ones(1, *shape_in))
    assert work.num_operations == 2 * (3 * sum(counted) - counted[0])


@pytest.mark.parametrize(
    ("rates", "expected"), [((10.0, 40.0), (10.0, "bytes")), ((100.0, 10.0), (20.0, "operations"))]
)
def test_the_floor_is_the_larger_of_the_two_times(rates: tuple[float, float], expected: tuple[float, str]) -> None:
    work = Work(num_parameters=1, num_bytes=100, num_operations=200)
    assert compute_floor(work, Rates(bytes_per_second=rates[0], operations_per_second=rates[1])) == expected


def test_measured_rates_are_those_of_a_processor() -> None:
    assert 1e8 < measure_bandwidth(2**20, seconds=0.01) < 1e13
    before = torch.get_num_threads()
    assert 1e8 < measure_products([Layer(100, 50), Layer(20, 100, num_places=4)], 16, "float32", seconds=0.01) < 1e13
    assert torch.get_num_threads() == before


# The plain loop


def test_the_plain_loss_is_our_objective_for_the_same_parameters_and_noise(digits: Tensor) -> None:
    ours = build_model(make_settings("vsc_exp_relu", hidden=(32,), latent_dim=5), DIGITS)
    with torch.random.fork_rng(devices=[]):
        plain = PlainVSC(64, 32, 5, 0.3)
    encode, heads, decode, pixels = (
        half.get_submodule(f"layers.{i}") for half in (ours.encoder, ours.decoder) for i in range(2)
    )
    with torch.no_grad():
        for layer, source in ((plain.encode, encode), (plain.decode, decode), (plain.pixels, pixels)):
            layer.load_state_dict(source.state_dict())
        for i, head in enumerate((plain.mu, plain.log_var, plain.v)):
            head.load_state_dict({name: value.chunk(3)[i] for name, value in heads.state_dict().items()})
    x = digits[:40] / 255
    elbo = ours.compute_elbo(x, make_noise(1), at(50.0))
    torch.testing.assert_close(plain.compute_loss(x.flatten(1), make_generator(1)), (elbo.rate + elbo.distortion).sum())


def test_the_plain_loop_goes_on_from_a_state_of_ours_as_ours_does(digits: Tensor) -> None:
    """The loss of a first step from the same parameters, then that Adam takes our moments and count for its own."""
    settings = make_settings("vsc_exp_relu", hidden=(32,), latent_dim=5, epochs=3)
    state, epochs = train(settings, digits)
    with torch.random.fork_rng(devices=[]):
        plain = PlainVSC(64, 32, 5, 0.3)
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-3)
    resume(plain, optimizer, state)
    assert plain.sharpness == pytest.approx(50.003)
    x = digits / 255
    elbo = state.model.compute_elbo(x, make_noise(1), at(plain.sharpness))
    loss = plain.compute_loss(x.flatten(1), make_generator(1))
    torch.testing.assert_close(loss, (elbo.rate + elbo.distortion).sum())
    first = optimizer.state[plain.log_var.weight]
    assert first["step"] == state.step == 3 * 47
    assert torch.equal(first["exp_avg"], state.moments["adam.encoder.layers.1.weight.exp_avg"].chunk(3)[1])
    loss.backward()
    optimizer.step()  # it has all that a step needs
    assert epochs[-1].loss < epochs[0].loss


def test_the_plain_loop_learns(digits: Tensor) -> None:
    steps = train_plainly(digits.squeeze(1), num_hidden=32, latent_dim=4, alpha=0.3, batch_size=32)
    with computing():
        losses = list(islice(steps, 200))
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])


def test_images_are_converted_by_hand_as_torchvision_does() -> None:
    assert has_torchvision()
    image = make_images(1, MNIST.image_shape)[0, 0]
    assert torch.equal(make_transform()(image), _convert(image))
    assert torch.equal(_convert(image), image[None] / 255)


def test_a_fifth_of_the_pixels_are_not_black() -> None:
    images = make_images(200, MNIST.image_shape)
    assert (images.shape, images.dtype) == ((200, 1, 28, 28), torch.uint8)
    assert (images > 0).double().mean() == pytest.approx(0.2, abs=0.01)
    assert images.max() == 255


# Timing


@pytest.mark.parametrize(
    "task",
    [
        TINY,
        replace(TINY, num_trials=3),
        replace(TINY, loop="plain"),
        replace(TINY, epochs=2),
        replace(TINY, loop="plain", epochs=2),
        replace(TINY, chunk_steps=25, num_images=400),  # a graph's worth
    ],
    ids=["one trial", "fused", "plain", "trained", "plain, trained", "whole graphs"],
)
def test_a_task_is_timed_over_at_least_three_chunks(task: Task) -> None:
    warm: list[bool] = []
    timing = time_task(task, lambda: warm.append(True))
    assert warm == [True]
    assert timing.num_steps >= 3 * task.chunk_steps
    assert timing.num_steps % task.chunk_steps == 0
    assert 0 < timing.ms_per_step < 1000
    assert timing.num_threads == (torch.get_num_threads() if task.loop == "plain" else 1)
    assert timing.has_torchvision is (True if task.loop == "plain" else None)


def test_timing_goes_on_for_as_long_as_asked() -> None:
    timing = time_task(replace(TINY, seconds=0.2))
    assert timing.num_steps * timing.ms_per_step > 100


def test_peak_memory_counts_what_was_in_use_once() -> None:
    before = read_peak_memory("cpu")
    large = torch.ones(before // 4)  # as many bytes again
    peak = read_peak_memory("cpu")
    assert peak > max(before, large.nbytes)
    del large
    assert read_peak_memory("cpu") > 0.99 * peak  # the system counts in batches of pages


def test_processes_are_timed_at_once() -> None:
    timings = time_processes(replace(TINY, loop="plain", num_threads=1), 2)
    assert [timing.num_threads for timing in timings] == [1, 1]
    assert all(timing.ms_per_step > 0 and timing.peak_memory_mb > 50 for timing in timings)


def test_what_fails_in_a_process_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TaskFailedError, match=r"^ValueError: latent_dim: 0 is too small"):
        time_processes(replace(TINY, latent_dim=0), 1)
    assert "Traceback" in capfd.readouterr().err


def test_a_process_that_dies_without_a_word_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(TaskFailedError, match="ended from outside"):
        time_processes(TINY, 2)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_want_of_memory_is_told_in_three_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def fail(*_: object) -> Timing:
        raise error

    monkeypatch.setattr(processes, "time_task", fail)
    replies = io.StringIO()
    processes.work(TINY, io.StringIO(), replies)
    assert json.loads(replies.getvalue()) == "out of memory"
    assert capsys.readouterr().err == ""


# Rows


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


# Results


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


# The machine, and the command


def test_cores_are_those_a_container_is_granted(tmp_path: Path) -> None:
    group, own = tmp_path / "jobs/7/step", tmp_path / "own"
    group.mkdir(parents=True)
    own.write_text("0::/jobs/7/step\n")
    without = count_cores(tmp_path, own)
    assert without >= 1
    for text, expected in (("max 100000\n", without), ("50000 100000\n", 1), ("100000000 100000\n", without)):
        for place in (group, group.parent, tmp_path):  # a job's step, the job around it, all of the container
            (place / "cpu.max").write_text(text)
            assert count_cores(tmp_path, own) == expected
            (place / "cpu.max").unlink()


def test_cores_are_those_an_old_control_group_grants(tmp_path: Path) -> None:
    group, own = tmp_path / "cpu,cpuacct" / "job", tmp_path / "own"
    group.mkdir(parents=True)
    own.write_text("9:memory:/other\n4:cpu,cpuacct:/job\n0::/\n")
    (group / "cpu.cfs_period_us").write_text("100000\n")
    for quota, expected in (("-1\n", count_cores(tmp_path, tmp_path / "none")), ("70000\n", 1)):
        (group / "cpu.cfs_quota_us").write_text(quota)
        assert count_cores(tmp_path, own) == expected


@pytest.mark.parametrize("name", ["SLURM_CPUS_ON_NODE", "NSLOTS", "LSB_DJOB_NUMPROC"])
def test_a_batch_system_lowers_the_count_of_cores_and_never_raises_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for word, expected in (("3", 3), ("64", 8), ("0", 8), ("", 8), ("4(x2)", 8), ("-1", 8), ("²", 8)):
        monkeypatch.setenv(name, word)
        assert count_cores(tmp_path, tmp_path / "none") == expected


def test_cores_are_those_this_process_is_bound_to() -> None:
    program = "from models.numerics.machine import count_cores; print(count_cores())"
    bound = f"import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); {program}"
    done = subprocess.run([sys.executable, "-c", bound], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "1\n"


def test_the_processor_is_named_where_the_system_tells(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t: a b\n\nprocessor\t: 1\nmodel name\t: AMD EPYC\n"
    )
    assert name_cpu(cpuinfo) == "AMD EPYC"
    cpuinfo.write_text("processor\t: 0\nCPU implementer\t: 0x41\n")
    assert name_cpu(cpuinfo)


BAD_OPTIONS = {
    "--seconds: 0.0 is not a positive number": ["--seconds", "0"],
    "--seconds: inf is not a positive number": ["--seconds", "inf"],
    "--latent-dim: 0 is too small": ["--latent-dim", "0"],
    "--batch-size: 60001 is not from 1 to 60000": ["--batch-size", "60001"],
    "--device: 'tpu' is not one of auto, cpu, cuda": ["--device", "tpu"],
    "--precision: 'fp8' is not one of all, float32, tf32, bf16": ["--precision", "fp8"],
    "--device cuda: torch sees no GPU here; use --device cpu": ["--device", "cuda"],
}


@pytest.mark.parametrize(("sentence", "arguments"), BAD_OPTIONS.items(), ids=map(" ".join, BAD_OPTIONS.values()))
def test_bad_options_end_in_one_sentence_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sentence: str, arguments: list[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert f"error: {sentence}" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_precision_is_refused_where_no_processor_has_it(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "has_precision", lambda precision, _: precision == "float32")
    assert {row.task.precision for row in list_rows(Options(device="cpu"), 2)} == {"float32"}
    with pytest.raises(ValueError, match=f"--precision {precision}: no processor"):
        Options(device="cpu", precision=precision)


BARE = """
import sys
for name in ("ray", "mlflow", "pandas", "torchvision", "PIL", "rich", "typer", "harness", "analysis"):
    sys.modules[name] = None
from dataclasses import replace
from models.benchmark.__main__ import main
from models.benchmark.timing import Task, time_task
task = Task(loop="plain", device="cpu", latent_dim=3, batch_size=16, seconds=1e-3, chunk_steps=2, num_images=64)
print(time_task(task).has_torchvision, time_task(replace(task, loop="ours")).has_torchvision)
main(["--help"])
"""


def test_torch_alone_is_enough() -> None:
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("False None\nusage: python -m models.benchmark")


@pytest.mark.slow
def test_one_trial_of_ours_takes_at_most_half_the_time_of_the_plain_loop() -> None:
    task = Task(loop="plain", device="cpu", latent_dim=200, batch_size=32, seconds=8.0, num_threads=1)
    (plain,), (ours,) = time_processes(task, 1), time_processes(replace(task, loop="ours"), 1)
    print(f"\none step on one thread: plain loop {plain.ms_per_step:.2f} ms, ours {ours.ms_per_step:.2f} ms")
    assert ours.ms_per_step <= plain.ms_per_step / 2
