"""Time training steps in fresh processes, several at once, each with separate memory, threads and GPU context."""

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
from models.numerics.machine import is_out_of_memory

OUT_OF_MEMORY = "out of memory"


class TaskFailedError(RuntimeError):
    """A task could not be timed; the message is a clause that says why."""


def time_processes(task: Task, num_processes: int) -> list[Timing]:
    """Time a task in several processes, which start their timing together when all of them are warm.

    Raises:
        TaskFailedError: a process could not time the task. All processes are then ended.
    """
    # Import this package, not a folder named models in the user's working directory.
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-P", "-m", __name__, json.dumps(asdict(task))]
    processes: list[subprocess.Popen[str]] = []
    try:
        while len(processes) < num_processes:
            # A session of its own: Ctrl-C reaches only us, and we end the process with its children.
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
        raise TaskFailedError("its process was ended from outside, perhaps for lack of memory")
    message: dict[str, Any] | str = json.loads(line)
    if isinstance(message, str):
        raise TaskFailedError(message)
    return message


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has already ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        stream.close()


def work(task: Task, requests: TextIO, replies: TextIO) -> None:
    """Time a task as one of several processes: reply when warm, wait until `requests` is closed, reply with the Timing.

    Each reply is a line of JSON. A string instead of an object says why there is no Timing.
    """

    def wait_for_the_others() -> None:
        print("{}", file=replies, flush=True)
        requests.read()

    try:
        if task.num_threads is not None:
            torch.set_num_threads(task.num_threads)
        message = json.dumps(asdict(time_task(task, wait_for_the_others)))
    except Exception as error:
        problem = OUT_OF_MEMORY
        if not is_out_of_memory(error):
            traceback.print_exc()
            problem = f"{type(error).__name__}: {error}".splitlines()[0]
        message = json.dumps(problem)
    print(message, file=replies, flush=True)


if __name__ == "__main__":
    stdout, sys.stdout = sys.stdout, sys.stderr  # keep the prints of libraries out of the replies
    work(Task(**json.loads(sys.argv[1])), sys.stdin, stdout)
