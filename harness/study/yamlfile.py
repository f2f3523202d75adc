"""Read YAML with the line of every field, so that errors can name it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from analysis import yaml12
from harness.errors import InputError

FieldPath = tuple[str | int, ...]

MAX_VALUES = 100_000
"""A limit, as aliases of aliases can make billions of values in a few lines."""

KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


def read_yaml_mapping(text: str, source: Path) -> tuple[dict[str, Any], dict[FieldPath, int]]:
    """Read the mapping in a YAML text, and the line (from 1) of each of its fields.

    Raises:
        InputError: the text is not YAML, not a mapping, or has a key twice.
    """
    loader: yaml12.Loader | None = None
    try:
        loader = yaml12.Loader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise InputError(f"{source}: not a mapping; write `key: value` lines, beginning with `name:`")
        lines: dict[FieldPath, int] = {}
        _index(node, (), source, lines)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{source}:{line}: not valid YAML: {error.problem}; fix that line") from None
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not valid YAML: {str(error).splitlines()[0]}; remove it") from None
    except RecursionError:
        raise InputError(f"{source}: nested too deeply, or an alias contains itself; flatten it") from None
    finally:
        if loader is not None:
            loader.dispose()


def format_yaml(content: dict[str, Any]) -> str:
    """Format a mapping as YAML that `read_yaml_mapping` reads back unchanged."""
    return yaml.dump(content, Dumper=yaml12.Dumper, sort_keys=False)


def format_inline(value: Any) -> str:
    """Format a value on one line, as a message shows it: {grid: [4, 8]}."""
    text: str = yaml.dump(value, Dumper=yaml12.Dumper, default_flow_style=True, width=2**31, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _index(node: yaml.Node, path: FieldPath, source: Path, lines: dict[FieldPath, int]) -> None:
    if len(lines) > MAX_VALUES:
        raise InputError(
            f"{source}: more than {MAX_VALUES:,} values, aliases counted; shorten it, for example with ranges"
        )
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag not in KEY_TAGS:
                inside = f"{format_path(path)}: " if path else ""
                shown = repr(key.value[:40]) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                raise InputError(f"{source}:{line}: {inside}{shown} is not a name; write keys as words, such as seeds")
            here = (*path, key.value)
            if here in lines:
                name = format_path(here)
                raise InputError(f"{source}:{line}: {name}: given twice (first on line {lines[here]}); remove one")
            lines[here] = line
            _index(value, here, source, lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            lines[(*path, i)] = item.start_mark.line + 1
            _index(item, (*path, i), source, lines)


def find_line(lines: Mapping[FieldPath, int], path: FieldPath) -> int | None:
    """The line of a field or, where it has none, of the innermost field around it that has one."""
    return next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)


def format_path(path: FieldPath) -> str:
    """Format the path of a field for people: space[1].alpha."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
