"""Standard output and errors that end no command: readers go away, disks fill up, and few streams hold every letter."""

import codecs
import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

SPELLED = {"α": "alpha", "β": "beta", "γ": "gamma", "−": "-", "–": "-", "…": "...", "²": "^2", "×": "x"}  # noqa: RUF001


class _Stream(io.FileIO):
    """Writes to a descriptor until that fails; from then on, to nowhere."""

    lost: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])  # whoever shares a pipe may have made it non-blocking
        except OSError as error:
            self.lost = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes
        return written


_streams: dict[str, _Stream] = {}


def make_output_safe() -> None:
    """Replace sys.stdout and sys.stderr by streams on which no print can fail."""
    codecs.register_error("spell", _spell)
    for name in ("stdout", "stderr"):
        plain = getattr(sys, name)
        if plain is None:  # closed, as by `>&-`
            continue
        plain.flush()
        stream = _streams[name] = _Stream(plain.fileno(), "wb", closefd=False)
        text = io.TextIOWrapper(io.BufferedWriter(stream), encoding=plain.encoding, errors="spell", line_buffering=True)
        setattr(sys, name, text)


def take_lost_output() -> OSError | None:
    """Why standard output was lost, if it was; asked again, it says nothing more."""
    stream = _streams.get("stdout")
    if stream is None:
        return None
    sys.stdout.flush()
    lost, stream.lost = stream.lost, None
    return lost


def is_disk_or_device(error: OSError) -> bool:
    """Whether output was lost against the reader's will: not by `| head`, which has read all that it wants."""
    return error.errno != errno.EPIPE


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Write letters that the stream's encoding lacks in ones that it has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(SPELLED.get(c) or ascii(c)[1:-1] for c in letters), error.end
