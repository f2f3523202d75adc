"""Writes a page and the schema of study files, made from code, for `make docs`. Tests hold them to it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.study.file import build_study_schema
from models.settings import DEFAULTS, FIELDS

FOLDER = Path(__file__).parent
INTRODUCTION = """# The study file

<!-- Written by `make docs` from the schema of study files: change their descriptions, not this page. -->

A study file is YAML 1.2. Editors that know JSON schemas complete its fields from `studies/schema.json`. Whatever is
wrong in a file is answered in one sentence that names its line and the fix. A study file may name code that is run, in
`plugins` and as the command of `notify`, so read a stranger's first; code that lies among results is never run, nor is
the command of a study file there.

A setting takes one value, or several: `{grid: [...]}`, `{range: [first, last, step]}`, `{choice: [...]}`; where a
sampler draws them also `{uniform: [lo, hi]}`, `{loguniform: [lo, hi]}` and `{int: [lo, hi]}`.
"""
SECTIONS = {
    "search": "Search",
    "search.stop": "Stop",
    "scheduler": "Scheduler",
    "confirm": "Confirm",
    "resources": "Resources",
}


def make_study_file() -> str:
    """The page `study-file.md`."""
    schema = json.loads(build_study_schema())
    parts = schema["$defs"]
    settings = parts["SubSpace"]
    for name, field in settings["properties"].items():
        field["default"] = DEFAULTS.get(name)
    settings["required"] = FIELDS.keys() - DEFAULTS.keys()
    where = (
        "In `defaults`, and in each entry of `space`; `seeds` in the latter alone. What is needed is so in the models "
        "that have it."
    )
    tables = [("Fields", "", schema), ("Settings", where, settings)]
    tables += [(f"`{name}`", parts[kind].get("description", ""), parts[kind]) for name, kind in SECTIONS.items()]
    texts = [INTRODUCTION.rstrip()]
    for title, words, part in tables:
        rows = [_row(name, own, name in part.get("required", ())) for name, own in part["properties"].items()]
        head = "| field | meaning | values | default |\n| --- | --- | --- | --- |"
        texts += [f"## {title}", " ".join(words.split()), "\n".join([head, *rows])]
    return "\n\n".join(text for text in texts if text) + "\n"


def _row(name: str, field: Mapping[str, Any], is_required: bool) -> str:
    default = "needed" if is_required else _write_default(field)
    cells = [f"`{name}`", field.get("description", ""), _describe_type(field), default]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _write_default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    is_section = isinstance(value, dict) or "$ref" in field
    return "" if value is None or is_section or value == [] else f"`{json.dumps(value)}`"


def _describe_type(field: Mapping[str, Any]) -> str:
    """What may stand there, in a few words."""
    if "$ref" in field:
        return "a section"
    if "const" in field or "enum" in field:
        return " ".join(f"`{value}`" for value in field.get("enum") or [field["const"]])
    if "anyOf" in field:
        kinds = [_describe_type(own) for own in field["anyOf"] if own.get("type") != "null"]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind))
    kind = field.get("type", "")
    if kind == "array":
        return f"a list: {_describe_type(field.get('items', {}))}"
    if kind == "object":
        names = list(field.get("properties", {}))
        return " or ".join(f"`{{{name}: ...}}`" for name in names) or "a mapping"
    words = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}
    return words.get(kind, "") + _describe_bounds(field)


def _describe_bounds(field: Mapping[str, Any]) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    above, below = field.get("exclusiveMinimum"), field.get("exclusiveMaximum")
    words = [
        f"{sign} {bound:g}"
        for sign, bound in (("≥", low), (">", above), ("≤", high), ("<", below))
        if bound is not None and abs(bound) < 2**31 - 1
    ]
    return f", {' and '.join(words)}" if words else ""


if __name__ == "__main__":
    (FOLDER / "study-file.md").write_text(make_study_file(), encoding="utf-8")
    (FOLDER.parent / "studies" / "schema.json").write_text(build_study_schema(), encoding="utf-8")
