"""Whom a study tells of its end: a webhook's address, the variable that has it, or a command."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
ADDRESS = re.compile(r"https?://[^\s/]+\S*")

STORED = "$SPIKESLAB_NOTIFY"
"""Stands for an address, which often is the secret by which its owner is reached, in all that is stored of a study."""

Target = str | tuple[str, ...]


def check_target(target: Target) -> Target:
    """Check whom a study is to tell.

    Raises:
        ValueError: it is neither an address, nor a variable, nor the words of a command.
    """
    if isinstance(target, tuple):
        if target and all(target):
            return target
    elif VARIABLE.fullmatch(target) or ADDRESS.fullmatch(target):
        return target
    raise ValueError(
        "tells nobody; give an address such as https://example.com/hook, the variable that has it, such as "
        "$SPIKESLAB_NOTIFY, or the words of a command, such as [notify-send, spikeslab]"
    )


def refuse_stored_address(target: Target) -> Target:
    """Refuse a command whose words hold an address: they are stored as they are.

    Raises:
        ValueError: one does.
    """
    if isinstance(target, tuple) and any(ADDRESS.search(word) for word in target):
        raise ValueError("has an address in a command, which would be stored with it; put it into a script of yours")
    return target


def hide_target(target: Any) -> Any:
    """The target as it is stored: no address."""
    return STORED if isinstance(target, str) and not VARIABLE.fullmatch(target) else target


Notify = Annotated[
    Target,
    AfterValidator(check_target),
    AfterValidator(refuse_stored_address),
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
    PlainSerializer(hide_target),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": f"^({VARIABLE.pattern}|{ADDRESS.pattern})$"},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
            ]
        }
    ),
]
