"""Why an MLflow store cannot be used, in words: what passes by itself, and what somebody has to mend, and how."""

import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import first_line, hide_secrets

SCHEMA = re.compile(r"database schema \(found version (\w+),")

LASTING = (
    (r"file is not a database|image is malformed", "its database is damaged", "move {uri} aside"),
    (
        r"readonly database|unable to open database file|[Pp]ermission denied|Read-only file system",
        "its database cannot be written to",
        "see that you may write to {uri} and its folder",
    ),
    (r"disk is full|No space left", "the disk is full", "free some space"),
    (
        r"\b40[13]\b|[Uu]nauthori[sz]ed|[Ff]orbidden|not authenticated|authentication failed|Access denied",
        "{uri} refuses the user",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    ),
    (
        r"(?i)certificate.verify.failed",
        "{uri} has a certificate that this machine does not trust",
        "name the file of the authority that signed it with MLFLOW_TRACKING_SERVER_CERT_PATH",
    ),
    (
        r"No module named '?(psycopg|psycopg2|pymysql|MySQLdb|pyodbc)",
        "{uri} needs its database's driver",
        "install it, for PostgreSQL with `pip install 'spikeslab[postgres]'`",
    ),
    (
        r"nsupported|Could not parse|No connection adapters|Failed to parse|Invalid URL|No module named|"
        r"Failed to resolve|Name or service not known|Can't load plugin",
        "{uri} is no address of a store",
        "correct MLFLOW_TRACKING_URI, or unset it to use the results folder",
    ),
)
"""Patterns of errors, what they say, and what helps."""

PASSING = (
    (r"[Tt]imed out|[Tt]imeout", "{uri} does not answer in time"),
    (r"[Cc]onnection (refused|reset|aborted)|NewConnectionError|Max retries exceeded", "nothing answers at {uri}"),
    (r"database is locked", "another program holds its database"),
)
"""Of what may pass by itself, likewise."""


@dataclass(frozen=True)
class Failure:
    """Why MLflow cannot be used."""

    reason: str
    fix: str | None = None  # None: it may pass, and is tried again

    def __str__(self) -> str:
        return f"{self.reason}; {self.fix}" if self.fix else self.reason


def explain(error: Exception, uri: str) -> Failure:
    """Explain an error of MLflow's, which may hold one of a database, a server or the network."""
    text, shown = str(error), hide_secrets(uri)
    if found := SCHEMA.search(text):
        if _is_known(found[1]):
            return Failure("its database is of an older MLflow", f"copy it, and run `mlflow db upgrade {shown}`")
        return Failure("its database is of a newer MLflow", "update this one with `pip install --upgrade mlflow`")
    for pattern, reason, fix in LASTING:
        if re.search(pattern, text):
            return Failure(reason.format(uri=shown), fix.format(uri=shown))
    for pattern, reason in PASSING:
        if re.search(pattern, text):
            return Failure(reason.format(uri=shown))
    return Failure(first_line(error))


def _is_known(revision: str) -> bool:
    """Whether this MLflow knows a version of the schema, so that it can upgrade it."""
    import mlflow
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    migrations = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    try:
        return migrations.get_revision(revision) is not None
    except CommandError:
        return False
