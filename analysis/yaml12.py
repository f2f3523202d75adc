"""YAML by the core schema of YAML 1.2, as editors read it: 010 is ten; yes, 1_000, 1:30 and 2001-01-01 are text.

PyYAML knows the schema of YAML 1.1 only. Its resolvers and the constructors of numbers are replaced here.
"""

import re
from typing import Any, ClassVar

import yaml

INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
)
PLAIN_TYPES = {
    "null": re.compile(r"~|null|Null|NULL|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": INT,
    "float": FLOAT,
    "merge": re.compile(r"<<"),  # of no schema, but every editor knows it
}


class _Core:
    """What text without quotes and tags is."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {
        # None: whatever the first character is. PyYAML matches the beginning of the text.
        None: [(f"tag:yaml.org,2002:{name}", re.compile(f"({p.pattern})\\Z")) for name, p in PLAIN_TYPES.items()]
    }


class Loader(_Core, yaml.SafeLoader):
    """Reads YAML 1.2: text, numbers, truth values, null, lists and mappings, and no other tag."""

    yaml_constructors: ClassVar[dict[Any, Any]] = {
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("null", "bool", "str", "seq", "map")
    }
    bool_values: ClassVar[dict[str, bool]] = {"true": True, "false": False}

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct the value of a node; every error names its line."""
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError):  # !!int text
            problem = f"{str(node.value)[:40]!r} cannot be read as {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise yaml.constructor.ConstructorError(None, None, "a number beyond 64 bits", node.start_mark)
        return value


class Dumper(_Core, yaml.SafeDumper):
    """Writes text in quotes where a reader of YAML 1.2 would take it for something else."""


def read_number(text: str) -> int | float:
    """Read a number as YAML 1.2 has it.

    Raises:
        ValueError: the text is none.
    """
    if INT.fullmatch(text):
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    if FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    raise ValueError(f"{text!r} is not a number")


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    number = read_number(loader.construct_scalar(node))
    if not isinstance(number, int):
        raise ValueError(f"{number} is not a whole number")
    return number


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(read_number(loader.construct_scalar(node)))


Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
