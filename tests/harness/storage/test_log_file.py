"""A log on a full disk: neither a traceback nor an error. A log that is kept: no secret."""

import logging
from pathlib import Path

import pytest

from harness.storage.log_file import LogFile


def test_a_log_that_does_not_fit_is_lost_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    handler = LogFile(Path("/dev/full"))
    handler.handle(logging.LogRecord("name", logging.INFO, "", 0, "lost", None, None))
    handler.close()
    assert capsys.readouterr() == ("", "")


def test_a_log_that_fits_is_written(tmp_path: Path) -> None:
    handler = LogFile(tmp_path / "log.txt")
    handler.handle(logging.LogRecord("name", logging.INFO, "", 0, "kept", None, None))
    handler.close()
    assert (tmp_path / "log.txt").read_text() == "kept\n"


def test_neither_a_message_nor_a_traceback_has_a_password_in_the_log(tmp_path: Path) -> None:
    handler = LogFile(tmp_path / "log.txt")
    error = ConnectionError("GET https://alice:s3cret@host/x?token=s3cret")
    handler.handle(
        logging.LogRecord("name", logging.ERROR, "", 0, "at %s", ("http://u:s3cret@host",), (type(error), error, None))
    )
    handler.close()
    text = (tmp_path / "log.txt").read_text()
    assert text.startswith("at http://***@host\nConnectionError")
    assert text.endswith("GET https://***@host/x?token=***\n")
    assert "s3cret" not in text


@pytest.mark.parametrize("mode", ["a", "w"])
def test_a_link_in_the_place_of_a_log_is_not_followed(tmp_path: Path, mode: str) -> None:
    victim, log = tmp_path / ".bashrc", tmp_path / "log.txt"
    victim.write_text("export A=1\n")
    log.symlink_to(victim)
    handler = LogFile(log, mode=mode, delay=mode == "w")
    handler.handle(logging.LogRecord("name", logging.INFO, "", 0, "kept", None, None))
    handler.close()
    assert (victim.read_text(), log.read_text()) == ("export A=1\n", "kept\n")
