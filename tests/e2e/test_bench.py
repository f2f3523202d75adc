"""`spikeslab bench`, in earnest but for a moment only."""

import json
import re

from tests.e2e.conftest import Spikeslab

MOMENT = [
    "bench",
    "--seconds",
    "0.02",
    "--latent-dim",
    "8",
    "--batch-size",
    "16",
    "--precision",
    "float32",
    "--epochs",
    "0",
]


def test_bench_compares_one_trial_and_many_with_the_plain_loop(spikeslab: Spikeslab) -> None:
    # On one thread, as torch's threads would wait for those of the tests beside this one.
    done = spikeslab(*MOMENT, "--device", "cpu", "--json", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["command"] == f"spikeslab {' '.join(MOMENT)} --device cpu --json"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", report["date"])
    assert report["model"]["latent_dim"] == 8
    rows = report["rows"]
    num_cores = report["machine"]["num_cores"]
    assert [(row["loop"], row["num_trials"], row["num_processes"]) for row in rows] == [
        ("plain", 1, 1),
        ("plain", 1, 1),
        ("ours", 1, 1),
        ("ours", num_cores, num_cores),
        ("ours", 8, 1),
    ]
    assert [row["problem"] for row in rows] == [None] * 5
    for row in rows:
        milliseconds = 3_600_000 * row["num_trials"] / 3750 / row["trial_epochs_per_hour"]
        assert abs(row["ms_per_step"] / milliseconds - 1) < 1e-9
        assert row["fraction_of_floor"] > 0
        assert row["ratio_to_plain_loop"] > 0
        assert row["peak_memory_mb_per_process"] > 50
    # A line for each row as it goes, and nothing else.
    assert re.fullmatch(r"(\d of 5: CPU: (plain loop|ours), .*\n){5}", done.stderr)


def test_bad_options_of_bench_are_one_sentence(spikeslab: Spikeslab) -> None:
    done = spikeslab("bench", "--seconds", "-1")
    assert done.returncode == 2
    assert done.stderr == "error: --seconds: -1.0 is not a positive number; give one such as 5\n"
    assert done.stdout == ""
