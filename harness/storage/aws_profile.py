"""The keys of a profile of AWS, from the files that `aws configure` writes: obstore reads variables alone."""

import configparser
import os
from collections.abc import Mapping
from pathlib import Path

from harness.errors import InputError

NAMES = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "region": "region",
    "endpoint_url": "endpoint",
}
"""What the files call it, and what obstore does."""


def read_profile() -> Mapping[str, str]:
    """What the user's profile says, as obstore takes it; nothing where keys are in variables, or no file has any.

    Raises:
        InputError: AWS_PROFILE names one without keys of its own.
    """
    wanted = os.environ.get("AWS_PROFILE")
    if "AWS_ACCESS_KEY_ID" in os.environ and not wanted:
        return {}
    name, found = wanted or "default", dict[str, str]()
    for variable, file, sections in (
        ("AWS_CONFIG_FILE", "config", (name, f"profile {name}")),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", (name,)),
    ):
        parser = configparser.RawConfigParser()
        try:
            parser.read(os.environ.get(variable) or Path.home() / ".aws" / file, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError, RuntimeError):
            continue
        for section in sections:
            if parser.has_section(section):
                found |= {NAMES[key]: value for key, value in parser.items(section) if key in NAMES}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:  # a variable wins, as everywhere
        found["region"] = region
    if wanted and "access_key_id" not in found:
        raise InputError(
            f"AWS_PROFILE={wanted}: no file of AWS has keys of that profile; get some with "
            f'`eval "$(aws configure export-credentials --profile {wanted} --format env)"`, and unset AWS_PROFILE'
        )
    return found if "access_key_id" in found else {}
