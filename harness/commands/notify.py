"""Tell somebody how a run of a study ended: a webhook, or a command. Tried twice, and never in the way."""

import json
import os
import shlex
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from analysis.wording import plural
from harness.commands.outcome import Outcome
from harness.errors import InputError, first_line
from harness.interruption import Interrupted
from harness.study import Study
from harness.study.notify import Target, check_target

SECONDS = 5.0  # for each try
PAUSE_SECONDS = 1.0  # between the two

Ending = Literal["done", "failed", "stopped"]
Said = Mapping[str, str | int | float | None]


@contextmanager
def telling(study: Study, target: Target | None, say: Callable[[str], None]) -> Iterator[Callable[[Outcome], None]]:
    """Tell a target how what is done meanwhile ended. Yields a function that takes the outcome, where there is one.

    target: none tells nobody. say: is told, once, why the target could not be told.
    """
    outcomes: list[Outcome] = []
    ending: Ending = "failed"
    error = ""
    try:
        yield outcomes.append
        ending = describe_ending(outcomes[-1])
    except (Interrupted, KeyboardInterrupt):
        ending = "stopped"
        raise
    except Exception as raised:
        # The words of an error that is none of the user's may quote anything.
        error = str(raised) if isinstance(raised, InputError) else type(raised).__name__
        raise
    finally:
        tell(target, describe(study, ending, outcomes[-1] if outcomes else None, error), say)


def describe_ending(outcome: Outcome) -> Ending:
    """In a word, how a run ended."""
    if outcome.interrupted:
        return "stopped"
    return "failed" if outcome.has_failures else "done"


def describe(study: Study, ending: Ending, outcome: Outcome | None, error: str = "") -> Said:
    """What is told: facts by name, and a sentence, `text`, which chat programs show."""
    facts: dict[str, str | int | float | None] = {"study": study.name, "outcome": ending}
    text = f"{study.name}: {ending}"
    if outcome is not None:
        facts |= {"trials": outcome.num_trials, "trials_done": outcome.num_done}
        facts |= {"trials_diverged": outcome.num_diverged, "trials_failed": outcome.num_failed}
        facts |= {"metric": study.metric, "best": outcome.best, "seconds": round(outcome.seconds, 1)}
        text += f", {outcome.num_done} of {plural(outcome.num_trials, 'trial')} done"
        text += "" if outcome.best is None else f", best {study.metric} {outcome.best:.5g}"
    if error:
        facts["error"] = error
        text += f": {error}"
    return facts | {"text": text}


def explain_unheeded(study: Study) -> str:
    """Why the command that a study's file names is not run; empty where it names none, or is obeyed."""
    if study.origin is None or not study.origin.command:
        return ""
    place, command = study.origin.locate(("notify",)), shlex.join(study.origin.command)
    not_run = f"{place}: notify: its command `{command}` is not run, as results may be a stranger's"
    return f"{not_run}; run a study file of your own."


def tell(target: Target | None, said: Said, say: Callable[[str], None]) -> None:
    """Tell a target, if there is one, and try once more where that goes wrong."""
    if target is None:
        return
    problem = ""
    for pause in (0.0, PAUSE_SECONDS):
        time.sleep(pause)
        try:
            problem = _run(target, said) if isinstance(target, tuple) else _post(_resolve(target), said)
        except Exception as error:
            problem = first_line(error)
        if not problem:
            return
    whom = target[0] if isinstance(target, tuple) else target if target.startswith("$") else urlsplit(target).hostname
    say(f"Nobody was told of the end ({whom}: {problem}).")


def _resolve(target: str) -> str:
    """The address of a webhook, which may be in a variable.

    Raises:
        InputError: the variable has none.
    """
    address = os.environ.get(target[1:], "") if target.startswith("$") else target
    if not address.startswith(("https://", "http://")):
        raise InputError("the variable has no address, https://...")
    return address


def _post(address: str, said: Said) -> str:
    """Send it to a webhook; returns what went wrong, in words that do not have the address."""
    body = json.dumps(said).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})  # noqa: S310 (http alone)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except (OSError, ValueError) as error:  # a URLError is an OSError
        reason = getattr(error, "reason", None)
        return (getattr(reason, "strerror", None) or type(reason or error).__name__).lower()


def _run(command: tuple[str, ...], said: Said) -> str:
    """Run a command, which reads it as JSON from its standard input; returns what went wrong."""
    try:
        done = subprocess.run(  # noqa: S603 (words, no shell)
            command,
            input=json.dumps(said).encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {SECONDS:.0f} s"
    return f"it ended with exit status {done.returncode}" if done.returncode else ""


def parse_target(text: str) -> Target:
    """Parse what the option --notify gives: an address, a variable or a command.

    Raises:
        InputError: it is none of them.
    """
    is_command = not text.startswith(("$", "https://", "http://"))
    try:
        return check_target(tuple(shlex.split(text)) if is_command else text)
    except ValueError as error:
        raise InputError(f"--notify: {error}") from None
