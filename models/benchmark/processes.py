"""Time training steps in fresh processes, several at once: each has memory, threads and a GPU context of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import torch

from models.benchmark.timing import Task, Timing, time_task

OUT_OF_MEMORY = "out of memory"


class TaskFailedError(RuntimeError):
    """A task could not be timed; the message is a clause that says why."""


def time_processes(task: Task, num_processes: int) -> list[Timing]:
    """Time a task in so many processes, which start their timing together, all being warm.

    Raises:
        TaskFailedError: one of them could not. The others are then ended.
    """
    # This very package, and no folder named models in which the user may be.
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-P", "-m", __name__, json.dumps(asdict(task))]
    processes: list[subprocess.Popen[str]] = []
    try:
        while len(processes) < num_processes:
            # In a session of its own: Ctrl-C is for us, and we end them, with what they started themselves.
            pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            processes.append(subprocess.Popen(command, env=environment, start_new_session=True, **pipes))  # noqa: S603 (no shell)
        for process in processes:
            _receive(process)
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        return [Timing(**_receive(process)) for process in processes]
    finally:
        for process in processes:
            _end(process)


def _receive(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise TaskFailedError("its process was ended from outside, perhaps for want of memory")
    message: dict[str, Any] | str = json.loads(line)
    if isinstance(message, str):
        raise TaskFailedError(message)
    return message


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing of it runs any more
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()


def work(task: Task, asked: TextIO, told: TextIO) -> None:
    """A process's part: a line when it is warm, then, once nothing more can come from `asked`, a line with the Timing.

    Lines are JSON; a string says why there is no Timing.
    """

    def wait_for_the_others() -> None:
        print("{}", file=told, flush=True)
        asked.read()

    try:
        if task.num_threads is not None:
            torch.set_num_threads(task.num_threads)
        message = json.dumps(asdict(time_task(task, wait_for_the_others)))
    except Exception as error:
        problem = OUT_OF_MEMORY
        if not any(words in str(error).lower() for words in (OUT_OF_MEMORY, "can't allocate memory")):
            traceback.print_exc()
            problem = f"{type(error).__name__}: {error}".splitlines()[0]
        message = json.dumps(problem)
    print(message, file=told, flush=True)


if __name__ == "__main__":
    channel, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no message
    work(Task(**json.loads(sys.argv[1])), sys.stdin, channel)
