"""Somebody is told how a run ended, and nothing that is stored or printed says by which address."""

import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.commands import notify, run
from harness.commands.notify import describe, parse_target, tell, telling
from harness.commands.outcome import Outcome
from harness.errors import InputError
from harness.interruption import Interrupted
from harness.python.study import as_study
from harness.storage.place import Folder
from harness.study import Study
from harness.study.file import dump_study, find_study, format_study_file, load_found, load_study
from harness.tune.study_run import StudyRun
from tests.e2e.conftest import STUDY as TEXT

STUDY = Study.model_validate(
    {"name": "small", "dataset": "digits", "space": [{"model": "vae", "latent_dim": 2}], "evaluate": ["elbo"]}
)
OUTCOME = Outcome(8, 8, 0, 0, 8, 24, -26.5, 0, 12.34, 3.0)


class Receiver(HTTPServer):
    """Keeps what it is sent. answers: the status of each answer, the last of which is repeated."""

    def __init__(self, *answers: int) -> None:
        self.answers, self.received = list(answers), list[dict[str, Any]]()
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}/services/S3CRET?token=S3CRET"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        assert self.headers["Content-Type"] == "application/json"
        self.server.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        answers = self.server.answers
        self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Receiver]]:
    monkeypatch.setattr(notify, "PAUSE_SECONDS", 0.0)
    servers = []

    def start(*answers: int) -> Receiver:
        server = Receiver(*answers)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("outcome", "raised", "ending"),
    [
        (OUTCOME, None, "done"),
        (Outcome(8, 7, 0, 1, 8, 24, -26.5, 0, 12.34, 3.0), None, "failed"),
        (Outcome(8, 7, 1, 0, 8, 24, -26.5, 0, 12.34, 3.0), None, "failed"),
        (Outcome(8, 3, 0, 0, 3, 24, None, 15, 12.34, 3.0), None, "stopped"),
        (None, InputError("digits: no such dataset; fetch it"), "failed"),
        (None, Interrupted(2), "stopped"),
        (None, KeyError("a password, say"), "failed"),
    ],
    ids=["done", "failed", "diverged", "stopped", "refused", "interrupted", "a bug"],
)
def test_a_webhook_is_told_once_how_a_run_ended(
    receive: Callable[..., Receiver], outcome: Outcome | None, raised: BaseException | None, ending: str
) -> None:
    server, said = receive(204), list[str]()
    with suppress(InputError, Interrupted, KeyError), telling(STUDY, server.address, said.append) as note:
        if raised is not None:
            raise raised
        assert outcome is not None
        note(outcome)
    (told,) = server.received
    assert (told["study"], told["outcome"], said) == ("small", ending, [])
    if outcome is not None:
        assert (told["trials"], told["trials_done"], told["best"]) == (8, outcome.num_done, outcome.best)
        assert told["metric"] == STUDY.metric
    if isinstance(raised, InputError):
        assert told["error"] == "digits: no such dataset; fetch it"
    assert "password" not in str(told)


def test_what_is_said_is_a_sentence_for_a_chat() -> None:
    assert describe(STUDY, "done", OUTCOME)["text"] == f"small: done, 8 of 8 trials done, best {STUDY.metric} -26.5"


def test_trials_that_diverged_are_told_apart_from_those_that_failed() -> None:
    facts = describe(STUDY, "failed", Outcome(8, 5, 2, 1, 8, 24, -26.5, 0, 12.34, 3.0))
    assert (facts["trials_done"], facts["trials_diverged"], facts["trials_failed"]) == (5, 2, 1)


def test_a_failure_is_tried_once_more_and_then_said_without_the_address(receive: Callable[..., Receiver]) -> None:
    said = list[str]()
    once = receive(500, 204)
    tell(once.address, {"study": "small"}, said.append)
    assert (len(once.received), said) == (2, [])
    never = receive(404)
    tell(never.address, {"study": "small"}, said.append)
    assert (len(never.received), said) == (2, ["Nobody was told of the end (127.0.0.1: it answered 404)."])
    never.server_close()
    tell("http://127.0.0.1:1/S3CRET", {"study": "small"}, said.append)
    assert "refused" in said[1]
    assert "S3CRET" not in str(said)


def test_a_receiver_that_does_not_answer_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(notify, "SECONDS", 0.1)
    monkeypatch.setattr(notify, "PAUSE_SECONDS", 0.0)
    said, began = list[str](), time.monotonic()
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        tell(f"http://127.0.0.1:{mute.getsockname()[1]}/", {"study": "small"}, said.append)
    tell((sys.executable, "-c", "import time; time.sleep(9)"), {"study": "small"}, said.append)
    assert time.monotonic() - began < 5
    assert len(said) == 2


def test_a_command_reads_it_and_no_shell_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "PAUSE_SECONDS", 0.0)
    said, path = list[str](), tmp_path / "$(told).json"
    tell(("tee", str(path)), {"study": "small"}, said.append)
    assert json.loads(path.read_text()) == {"study": "small"}
    for command, why in ((("false",), "exit status 1"), (("no-such-command",), "No such file")):
        tell(command, {}, said.append)
        assert why in said[-1]


def test_a_variable_has_the_address(receive: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch) -> None:
    server, said = receive(200), list[str]()
    monkeypatch.setenv("HOOK", server.address)
    tell("$HOOK", {"study": "small"}, said.append)
    assert (server.received, said) == ([{"study": "small"}], [])
    tell("$NO_HOOK", {}, said.append)
    assert said == ["Nobody was told of the end ($NO_HOOK: the variable has no address, https://...)."]


def test_the_option_takes_an_address_a_variable_or_a_command() -> None:
    assert parse_target("$HOOK") == "$HOOK"
    assert parse_target("https://example.com/x") == "https://example.com/x"
    assert parse_target("mail -s 'it is done' me") == ("mail", "-s", "it is done", "me")
    for wrong in ("", "$", "https://"):
        with pytest.raises(InputError, match="--notify: tells nobody; give an address"):
            parse_target(wrong)


@pytest.mark.parametrize("beside", ["resolved.json", None])
def test_a_command_in_a_study_file_among_results_is_not_run_and_it_is_said(
    beside: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, made, given = tmp_path / "results", tmp_path / "made", {}
    path = results / "tiny" / "study.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"{TEXT}notify: [mkdir, {made}]\n")
    if beside is not None:
        (path.parent / beside).write_text("")

    def train(trains: StudyRun, *_: object) -> Outcome:
        given["text"] = (trains.folder / "study.yaml").read_text()
        return OUTCOME

    monkeypatch.setattr(run, "_train_and_conclude", train)
    for study in (load_found(find_study("tiny", results), results), as_study("tiny", results)):
        text = format_study_file(path, study, is_changed=False)
        assert "mkdir" not in text, "else a job would run it, whose file lies among no results"
        output = io.StringIO()
        run.run_study(study, text, results=Folder(results), console=Console(file=output, width=1000))
        assert (
            f"its command `mkdir {made}` is not run, as results may be a stranger's; run a study file of your own."
            in output.getvalue()
        )
        path.write_text(f"{TEXT}notify: [mkdir, {made}]\n")
    assert not made.exists()
    assert "mkdir" not in given["text"]
    assert load_found(path, results, [f"notify=[mkdir, {made}]"]).notify == ("mkdir", str(made))
    elsewhere = tmp_path / "tiny.yaml"
    elsewhere.write_text(path.read_text())
    assert load_found(elsewhere, results).notify == ("mkdir", str(made))


@pytest.mark.parametrize("slash", ["/", "\\u002f"])
def test_no_address_is_stored_with_a_study(
    slash: str, tmp_path: Path, receive: Callable[..., Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = receive(200)
    (tmp_path / "tiny.yaml").write_text(f'{TEXT}notify: "{server.address.replace("/", slash)}"\n')
    study = load_study(tmp_path / "tiny.yaml")
    assert study.notify == server.address
    assert "notify: $SPIKESLAB_NOTIFY" in dump_study(study).replace("'", "").replace('"', "")
    given = {}

    def train(trains: StudyRun, *_: object) -> Outcome:
        given["text"] = (trains.folder / "study.yaml").read_text()
        return OUTCOME

    monkeypatch.setattr(run, "_train_and_conclude", train)
    output = io.StringIO()
    text = format_study_file(tmp_path / "tiny.yaml", study, is_changed=False)
    run.run_study(study, text, results=Folder(tmp_path / "results"), console=Console(file=output))
    assert len(server.received) == 1
    assert "S3CRET" not in given["text"] + output.getvalue() + dump_study(study) + json.dumps(study.model_dump())
    (tmp_path / "stored.yaml").write_text(given["text"])
    assert load_study(tmp_path / "stored.yaml").notify == "$SPIKESLAB_NOTIFY"
    with pytest.raises(InputError, match="notify: tells nobody; give an address such as"):
        load_study(tmp_path / "tiny.yaml", ["notify=example.com"])
    with pytest.raises(InputError, match="notify: has an address in a command, which would be stored"):
        load_study(tmp_path / "tiny.yaml", ["notify=[curl, -d, done, https://hooks.example.com/S3CRET]"])
