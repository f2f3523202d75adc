"""Why a trial's process has failed, as Ray and Tune say it, and what is to be done with the trial."""

import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from analysis.wording import plural
from harness.storage.objects import SILENT
from harness.tune.driver import LeavingError, UnfitError
from harness.tune.study_run import StudyRun, is_of_full_disk
from harness.worker.memory import MemoryShortageError

MAX_CRASHES = 3
"""Crashes after which a trial is tried again; want of a machine or of memory is none."""

MAX_FORGIVEN = 20
"""A trial whose machines go away more often than this may be why."""

FORGIVABLE = re.compile(
    rf"{UnfitError.__name__}|{LeavingError.__name__}|{SILENT}|its node has died|The actor \w+ is unavailable:"
)
"""In our words and Ray's: none of the trial's own making."""

SHORTAGE = re.compile(r"\bMemoryError\b|MemoryShortageError|OutOfMemoryError|low on memory")
"""In Python's words, torch's and ours, and Ray's, which ends processes before the kernel does."""

OWN_NAME = re.compile(r"^actor (\w+):", re.MULTILINE)  # see Processes
ENDED = re.compile(r"Selected to kill: \(Actor\((\w+)\).*?actual memory used=([\d.]+)GB")
"""Ray ends many processes of a machine at once, and says what each has used."""

Verdict = Literal["go on", "wait", "give up"]
"""What is to be done with a trial: run it beside others; run it once nothing else runs; neither."""


def read_failure(trial: Any) -> str:
    """What Tune was told of a trial's last failure; empty where it has none.

    Tune's own `get_error` looks where a snapshot of the study would have put it.
    """
    path = Path(trial.error_file or "")
    return path.read_text(encoding="utf-8").rpartition("Failure # ")[2] if path.is_file() else ""


def read_last_line(trial: Any) -> str:
    """The last of what Tune was told of a trial's last failure."""
    lines = read_failure(trial).strip().splitlines()
    return lines[-1][:300] if lines else "no reason given"


class Judge:
    """Says what becomes of a trial whose process has failed, and may fail again, and which of its failures are crashes.

    One that lacked memory beside others is tried once more while nothing else runs. So is one whose process keeps dying
    without a reason, as the kernel, which ends what has taken too much memory, gives none.
    """

    def __init__(self, run: StudyRun, on_unfit: Callable[[], None] = lambda: None) -> None:
        """on_unfit: called where a process says that its machine cannot train the study."""
        self._run, self._on_unfit = run, on_unfit
        self._spared: set[str] = set()  # Tune's ids of trials, here and below
        self._num_crashes: Counter[str] = Counter()
        self._num_forgiven: Counter[str] = Counter()

    def judge(self, trial: Any, *, is_alone: bool, num_others: int) -> Verdict:
        """Judge one of Tune's trials. is_alone: nothing else ran, on purpose. num_others: that run now."""
        failure = read_failure(trial)
        self._count(trial, failure)
        if UnfitError.__name__ in failure:
            self._on_unfit()
        if SHORTAGE.search(failure):
            return self._judge_shortage(trial, failure, is_alone=is_alone, num_others=num_others)
        if trial.num_failures > MAX_CRASHES:
            self._run.end(trial.config["trial"], error=f"its process died: {read_last_line(trial)}")
            return "give up"
        has_reason = FORGIVABLE.search(failure) or is_of_full_disk(failure)
        if is_alone or trial.num_failures < MAX_CRASHES or has_reason:
            return "go on"
        return self._put_off(trial, "keeps dying, perhaps for lack of memory", num_others)

    def _count(self, trial: Any, failure: str) -> None:
        """Set how many crashes the trial has had, as Tune counts more: what its machine did, too, and lack of memory.

        Where Ray was told of a machine's end before, Tune has not counted it.
        """
        name = trial.trial_id
        if trial.num_failures > self._num_crashes[name] and not SHORTAGE.search(failure):
            if FORGIVABLE.search(failure) and self._num_forgiven[name] < MAX_FORGIVEN:
                self._num_forgiven[name] += 1
            else:
                self._num_crashes[name] += 1
        trial.run_metadata.num_failures = self._num_crashes[name]

    def _judge_shortage(self, trial: Any, failure: str, *, is_alone: bool, num_others: int) -> Verdict:
        if took_less_than_others(failure) and trial.trial_id not in self._spared:
            self._spared.add(trial.trial_id)
            return "go on"
        is_fused = (
            self._run.study.resources.is_fused
            and f"{MemoryShortageError.__name__}: {MemoryShortageError(1)}" in failure
        )
        if not is_alone and not is_fused:
            return self._put_off(trial, "ran out of memory", num_others)
        which = "graphics card" if self._run.study.resources.gpu else "machine"
        self._run.end(
            trial.config["trial"],
            error=f"out of memory, though nothing was trained beside it; take a smaller batch_size, narrower layers or "
            f"a {which} with more memory",
        )
        return "give up"

    def _put_off(self, trial: Any, reason: str, num_others: int) -> Verdict:
        ours = trial.config["trial"]
        self._run.put_off(ours)
        share = "resources.gpu=1" if self._run.study.resources.gpu else "resources.cpu=2"
        beside = f" beside {plural(num_others, 'other')}" if num_others else ""
        self._run.console.print(
            f"{ours.label} {reason}{beside}; it is tried again alone, once nothing else is left to train. "
            f"Fewer run at once where each takes more, as with --set {share}.",
            soft_wrap=True,
            markup=False,
        )
        return "wait"


def took_less_than_others(failure: str) -> bool:
    """Whether Ray ended the process together with one that had taken more memory."""
    used = {process: float(amount) for process, amount in ENDED.findall(failure)}
    own = OWN_NAME.search(failure)
    return own is not None and used.get(own[1], math.inf) < max(used.values(), default=0)
