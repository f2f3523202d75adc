"""Read YAML so that every complaint can name the file and the line."""

import re
from pathlib import Path
from typing import Any

import yaml

from harness.errors import InputError

FieldPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number, as in YAML 1.2 (PyYAML reads it as text)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d[\d_]*)(?:\.[\d_]*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)


def read_yaml_mapping(text: str, source: Path) -> tuple[dict[str, Any], dict[FieldPath, int]]:
    """The mapping that a YAML text holds, and the line (from 1) on which each of its fields stands.

    Raises:
        InputError: the text is not YAML, not a mapping, or has a key twice.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise InputError(f"{source}: not a mapping; write `key: value` lines, beginning with `name:`")
        lines: dict[FieldPath, int] = {}
        _index(node, (), source, lines)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{source}:{line}: not valid YAML: {error.problem}; mend that line") from None
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not valid YAML: {str(error).splitlines()[0]}") from None
    finally:
        loader.dispose()


def _index(node: yaml.Node, path: FieldPath, source: Path, lines: dict[FieldPath, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            line = key.start_mark.line + 1
            if here in lines:
                name = format_path(here)
                raise InputError(f"{source}:{line}: {name}: given twice (first on line {lines[here]}); remove one")
            lines[here] = line
            _index(value, here, source, lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            lines[(*path, i)] = item.start_mark.line + 1
            _index(item, (*path, i), source, lines)


def format_path(path: FieldPath) -> str:
    """A field's place as a reader writes it: space[1].alpha."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
