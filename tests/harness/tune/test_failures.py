"""What becomes of a trial whose process has failed, by what Tune was told of it."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.study.sections import Resources
from harness.tune.failures import MAX_FORGIVEN, Judge, read_failure

OURS = "ray.exceptions.RayTaskError(MemoryShortageError): harness.worker.memory.MemoryShortageError: out of memory "
ALONE_IN_ENGINE = f"{OURS}with 1 trial in the process"
RAYS = """\
actor aa: 2 worker(s) were killed due to the node running low on memory. [...]
Ray killed 2 worker(s) based on the killing policy
Selected to kill: (Actor(aa): job ID=01000000, pid=14970, actual memory used={own}GB, worker ID=a3eef81bc9e2)
Selected to kill: (Actor(bb): job ID=01000000, pid=14971, actual memory used=1.56GB, worker ID=fc6c1f1f9018)
"""
KILLED = "The actor died unexpectedly. Worker exit type: SYSTEM_ERROR [...] killed by the OOM killer, or ray stop"
GONE = "The actor died because its node has died."
UNFIT = "ray.exceptions.RayTaskError(UnfitError): harness.tune.driver.UnfitError: worker-3 does not see /results"
FULL = "OSError: [Errno 28] No space left on device: '/tmp/x'"


@dataclass
class Run:
    """As the study's run, where the judge looks."""

    resources: Resources = field(default_factory=Resources)
    said: list[str] = field(default_factory=list)
    ended: dict[str, str] = field(default_factory=dict)  # labels and errors
    waiting: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.study = SimpleNamespace(resources=self.resources)
        self.console = SimpleNamespace(print=lambda words, **_: self.said.append(words))

    def end(self, trial: Any, error: str = "") -> None:
        self.ended.setdefault(trial.label, error)

    def put_off(self, trial: Any) -> None:
        self.waiting.append(trial.label)


@dataclass
class Tried:
    """As Tune's trial, where the judge looks."""

    error_file: str | None
    trial_id: str = "a"
    run_metadata: Any = field(default_factory=lambda: SimpleNamespace(num_failures=0))
    config: Any = field(default_factory=lambda: {"trial": SimpleNamespace(label="vsc, 5 latents")})

    @property
    def num_failures(self) -> int:
        return int(self.run_metadata.num_failures)


def fail(folder: Path, *errors: str) -> Tried:
    """A trial as Tune has it once its process has failed."""
    (folder / "error.txt").write_text("".join(f"Failure # {n} (occurred at x)\n{e}\n" for n, e in enumerate(errors)))
    return Tried(str(folder / "error.txt"))


def judge_each(run: Any, folder: Path, *errors: str, is_alone: bool = False, num_others: int = 1) -> tuple[str, int]:
    """The last verdict, once a trial's process has failed so one time after the other, and what is counted then."""
    judge, trial, verdict = Judge(run), Tried(None), ""
    for n in range(len(errors)):
        trial.error_file = fail(folder, *errors[: n + 1]).error_file
        trial.run_metadata.num_failures += 1  # as Tune does
        verdict = judge.judge(trial, is_alone=is_alone, num_others=num_others)
    return verdict, trial.num_failures


@pytest.mark.parametrize("error", [OURS, RAYS.format(own="1.60"), "MemoryError", "torch.OutOfMemoryError: CUDA out"])
def test_a_trial_without_memory_waits_until_it_can_run_alone_and_that_is_no_crash(error: str, tmp_path: Path) -> None:
    run: Any = Run()
    assert judge_each(run, tmp_path, KILLED, KILLED, error, num_others=2) == ("wait", 2)
    assert run.waiting == ["vsc, 5 latents"]
    assert run.said[0].startswith("vsc, 5 latents ran out of memory beside 2 others; it is tried again alone")
    assert run.ended == {}


@pytest.mark.parametrize(
    ("resources", "error", "is_alone", "larger"),
    [
        (Resources(), OURS, True, "a machine with more memory"),
        (Resources(cpu=1, gpu=0.1, fuse="never"), OURS, True, "a graphics card with more memory"),
        (Resources(cpu=0.1, gpu=0.1), ALONE_IN_ENGINE, False, "a graphics card with more memory"),
    ],
)
def test_one_that_lacks_memory_alone_is_given_up_with_what_helps(
    resources: Resources, error: str, is_alone: bool, larger: str, tmp_path: Path
) -> None:
    run: Any = Run(resources)
    assert judge_each(run, tmp_path, error, is_alone=is_alone) == ("give up", 0)
    assert "smaller batch_size" in run.ended["vsc, 5 latents"]
    assert larger in run.ended["vsc, 5 latents"]
    assert run.said == []


def test_one_that_ray_ended_beside_a_larger_one_goes_on_beside_others_once(tmp_path: Path) -> None:
    run: Any = Run()
    judge, trial = Judge(run), fail(tmp_path, RAYS.format(own="0.04"))
    verdicts = [judge.judge(trial, is_alone=False, num_others=1) for _ in range(2)]
    assert verdicts == ["go on", "wait"]


@pytest.mark.parametrize(
    ("errors", "is_alone", "verdict", "num_crashes"),
    [
        ([KILLED], False, "go on", 1),
        ([KILLED] * 3, False, "wait", 3),  # the kernel may have ended it for its memory, and does not say so
        ([KILLED] * 3, True, "go on", 3),
        ([KILLED, KILLED, GONE], False, "go on", 2),
        ([KILLED] * 3 + [GONE] * 2, True, "go on", 3),
        ([KILLED] * 4, True, "give up", 4),
        ([GONE] * (MAX_FORGIVEN + 3), False, "go on", 3),  # its next one counts
        ([KILLED, KILLED, FULL], False, "go on", 3),  # which ends the run
    ],
)
def test_one_that_dies_without_a_reason_has_its_last_try_alone(
    errors: list[str], is_alone: bool, verdict: str, num_crashes: int, tmp_path: Path
) -> None:
    run: Any = Run()
    assert judge_each(run, tmp_path, *errors, is_alone=is_alone) == (verdict, num_crashes)
    assert [words.startswith("vsc, 5 latents keeps dying") for words in run.said] == [True] * (verdict == "wait")


@pytest.mark.parametrize(
    ("error", "is_unfit"),
    [(UNFIT, True), *((UNFIT.replace("Unfit", other), False) for other in ("OtherCode", "Leaving"))],
)
def test_where_a_process_says_that_its_machine_is_unfit_others_are_told(
    error: str, is_unfit: bool, tmp_path: Path
) -> None:
    told: list[bool] = []
    run: Any = Run()
    trial = fail(tmp_path, error)
    assert Judge(run, lambda: told.append(True)).judge(trial, is_alone=False, num_others=1) == "go on"
    assert told == [True] * is_unfit


def test_the_last_failure_counts_alone(tmp_path: Path) -> None:
    trial = fail(tmp_path, "its node has died", "MemoryError")
    assert "MemoryError" in read_failure(trial)
    assert "node" not in read_failure(trial)
    trial.error_file = None
    assert read_failure(trial) == ""
