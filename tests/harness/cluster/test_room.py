"""Room for trials: counted machine by machine, and asked of an autoscaler."""

import subprocess
import time
from pathlib import Path

import psutil
import pytest

from harness.study.sections import Resources
from tests.e2e.conftest import STUDY, command
from tests.harness.cluster.heads import Head


@pytest.mark.parametrize(
    ("resources", "has", "slots"),
    [
        (Resources(), {"CPU": 4}, 4),
        (Resources(cpu=2), {"CPU": 1}, 0),
        (Resources(cpu=2), {"CPU": 5}, 2),
        (Resources(cpu=0.1), {"CPU": 1}, 10),
        (Resources(cpu=1, gpu=1), {"CPU": 8, "GPU": 2}, 2),
        (Resources(cpu=1, gpu=2), {"CPU": 8, "GPU": 3}, 1),
        (Resources(cpu=1, gpu=1), {"CPU": 8}, 0),
        (Resources(cpu=0.05, gpu=0.4), {"CPU": 8, "GPU": 2}, 4),  # two on each card, with a fifth of it left over
        (Resources(cpu=0.05, gpu=int(1e4 / 3) / 1e4), {"CPU": 8, "GPU": 1}, 3),
        (Resources(), {}, 0),
    ],
)
def test_a_trial_takes_its_place_on_one_machine_and_one_card(
    resources: Resources, has: dict[str, float], slots: int
) -> None:
    assert resources.count_on_machine(has) == slots


def run(head: Head, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "tiny.yaml").write_text(STUDY)
    words = command("run", "tiny.yaml", "--address", head.address, "--set", "figures=[]", *arguments)
    return subprocess.run(words, cwd=folder, env=head.client, capture_output=True, text=True, timeout=300, check=False)


def count_machines(head: Head) -> int:
    """Count the machines of a head's cluster, as their processes: the autoscaler's are not told from it by address."""
    commands = (" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
    return sum("raylet/raylet " in words and str(head.folder) in words for words in commands)


@pytest.mark.slow
def test_a_cluster_without_machines_starts_those_that_a_study_needs(tmp_path: Path) -> None:
    with Head(num_cpus=0, starts={"CPU": 1}) as head:
        done = run(head, tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert "The cluster has room for 0 of 8 trials; waiting for the machines that it starts" in done.stdout
        assert "The cluster has room for 2 trials after " in done.stdout
        assert "8 of 8 trials done" in done.stdout
        assert count_machines(head) == 3
        deadline = time.monotonic() + 60
        while count_machines(head) > 1:  # what was asked for is given back
            assert time.monotonic() < deadline
            time.sleep(1)
        began = time.monotonic()
        refused = run(head, tmp_path / "results", "--set", "resources.gpu=1", "--set", "epochs=4")
    print(f"refused after {time.monotonic() - began:.0f} s")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert (
        "a trial asks for 1 CPU and 1 GPU, but this machine has 0 CPU and 0 GPU, and it starts none" in refused.stderr
    )


@pytest.mark.slow
def test_a_trial_that_no_single_machine_has_room_for_is_refused_at_once(tmp_path: Path) -> None:
    with Head(num_cpus=1) as head:
        head.join(num_cpus=1)
        head.wait_for_nodes(2)
        refused = run(head, tmp_path, "--set", "resources.cpu=2")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
    assert "a trial asks for 2 CPU and 0 GPU, but the largest machine of the cluster has 1 CPU and" in refused.stderr
