"""Variables for a run, from a file that nobody else can read: passwords have no place on a command line."""

import re
from collections.abc import Mapping
from pathlib import Path

from harness.errors import InputError
from harness.paths import read_text


def read_variables(path: Path) -> Mapping[str, str]:
    """Read a file of NAME=value lines, for passwords that no record of a job may show.

    Raises:
        InputError: it cannot be read, others can read it, or a line is not NAME=value.
    """
    text = read_text(path, "name a file of NAME=value lines", option="--env-file")
    if path.stat().st_mode & 0o077:
        raise InputError(f"--env-file {path}: others on the machine can read it; run `chmod 600 {path}`")
    variables = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.strip().partition("=")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise InputError(f"--env-file {path}: line {number} is not NAME=value; write a variable on each line")
        variables[name] = value
    return variables
