"""Find, read and write study files, with one clear sentence for every mistake in them."""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, overload

from pydantic import BaseModel, ValidationError

from analysis.wording import find_near, suggest
from harness.errors import InputError
from harness.paths import parse_path, read_text
from harness.plugins.source import Plugin, find_plugin, is_of_results
from harness.plugins.use import list_datasets_in_use, use_plugins
from harness.study.fields import MAX_NAME, SLUG, extend_fields
from harness.study.notify import hide_target
from harness.study.origin import Origin
from harness.study.slips import mend_list, mend_number, mend_text
from harness.study.study import Study
from harness.study.yamlfile import FieldPath, format_path, format_yaml, read_yaml_mapping
from models.choices import MODELS
from models.setting import SETTINGS

S = TypeVar("S", bound=Study)

FIX = "give the path of a study file"
MAX_SHOWN, MAX_MESSAGE = 120, 900
_LONG = re.compile(r"'[^']{120,}'|\"[^\"]{120,}\"|\[[\[\], \d.e+-]{120,}\]|\[[^\[\]]{120,}\]|\S{120,}")
"""What no list of legal names looks like: text in quotes, lists, words without an end."""


@overload
def load_study(path: Path, overrides: Iterable[str] = (), *, is_stored: bool = False) -> Study: ...
@overload
def load_study(path: Path, overrides: Iterable[str] = (), *, kind: type[S], is_stored: bool = False) -> S: ...
def load_study(
    path: Path, overrides: Iterable[str] = (), *, kind: type[Study] = Study, is_stored: bool = False
) -> Study:
    """Load the study of a file, with `key=value` overrides applied. kind: the class to make of it.

    is_stored: the file is known to lie among results, which may be a stranger's: no code beside it is found, and the
    command that it names is not run.

    Raises:
        InputError: one sentence that names the file, the line, the field and the fix.
    """
    text = read_text(path, FIX)
    content, lines = read_yaml_mapping(text, path)
    is_stored = is_stored or is_of_results(path.parent)
    plugins = _load_plugins(content.get("plugins"), path, lines, is_stored=is_stored)
    overridden = {_apply_override(content, override, path): override for override in overrides}
    is_foreign = is_stored and ("notify",) not in overridden and isinstance(content.get("notify"), list)
    command = tuple(map(str, content.pop("notify"))) if is_foreign else ()
    origin = Origin(path, lines, overridden, command)
    try:
        study = (extend_fields(kind, plugins, list_datasets_in_use()) if plugins else kind).model_validate(content)
    except ValidationError as error:
        raise InputError(describe(error, origin)) from None
    study.__dict__["origin"] = origin
    return study


def _load_plugins(named: Any, path: Path, lines: Mapping[FieldPath, int], *, is_stored: bool) -> tuple[Plugin, ...]:
    """Find the plug-ins that a study file names, and make them those of this process. What is no name is said later."""
    names = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
    if len(set(names)) < len(names):
        raise InputError(f"{path}:{lines['plugins',]}: plugins: one stands twice in {names}; remove it")
    plugins = tuple(find_plugin(name, path, lines.get(("plugins",)), is_stored=is_stored) for name in names)
    use_plugins(plugins)
    return plugins


_MENDS: Mapping[str, Callable[[Any], str]] = {
    "tuple_type": mend_list,
    "string_type": mend_text,
    "int_type": lambda value: mend_number(value, "one of {}", is_whole=True),
    "float_type": lambda value: mend_number(value, "one of {}", is_whole=False),
}
"""The fix for a value of the wrong type, by pydantic's name of the complaint."""


def _apply_override(content: dict[str, Any], override: str, path: Path) -> FieldPath:
    """Change one field of a study's mapping; returns the path of the field."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise InputError(f"--set {override}: not key=value; write --set epochs=3 or --set search.num_trials=20")
    parts = key.split(".")
    if parts[0] == "plugins":
        raise InputError(f"--set {override}: plug-ins are named in the study's file alone; change it there")
    if len(parts) == 1 and key in SETTINGS and key != "seed":
        parts = ["defaults", key]
    if parts == ["seeds"] or (parts[0] == "defaults" and len(parts) == 2):
        subs = content.get("space")
        for sub in subs if isinstance(subs, list) else ():  # the override is for every trial
            if isinstance(sub, dict):
                sub.pop(parts[-1], None)
    target: Any = content
    for part in parts[:-1]:
        if isinstance(target, list):  # space.0.latent_dim
            target = target[int(part)] if part.isdecimal() and int(part) < len(target) else None
            continue
        if isinstance(target, dict) and target.get(part) is None:
            target[part] = {}
        target = target[part] if isinstance(target, dict) else None
    if not isinstance(target, dict):
        raise InputError(f"--set {override}: {path} has no field {key}; write it as section.key=value")
    parsed, _ = read_yaml_mapping(f"value: {value}", Path(f"--set {override}"))
    if len(parsed) > 1:
        raise InputError(f"--set {override}: more than one value; give each its own --set")
    target[parts[-1]] = parsed["value"]
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def describe(error: ValidationError, origin: Origin) -> str:
    """Describe the first error in one sentence, with its line of the file or the --set that caused it."""
    first = error.errors(include_url=False)[0]
    loc = first["loc"]
    message = str(first.get("ctx", {}).get("error", first["msg"]))
    field = format_path(loc)
    if first["type"] == "extra_forbidden":
        known = list(Study.model_fields) if len(loc) == 1 else _known_keys(loc)
        settings = _known_keys(("defaults",)) if len(loc) == 1 else []
        key = str(loc[-1])
        near = find_near(key, [*known, *settings])
        is_misplaced = near and near not in known and loc not in origin.overridden  # --set takes settings by themselves
        hint = f"did you mean {near} under defaults?" if is_misplaced else suggest(key, [near] if near else known)
        message = f"unknown key; {hint}"
    elif first["type"] == "missing":
        message = "missing; add it"
    elif first["type"] == "model_type":
        examples = {
            "search": "{sampler: tpe, num_trials: 20}",
            "search.stop": "{hours: 8}",
            "scheduler": "{name: asha}",
            "confirm": "{top: 5}",
            "space": f"{{model: {next(iter(MODELS))}}}",
        }
        kind = re.sub(r"\[\d+\]", "", field)
        example = f"such as {examples[kind]}" if kind in examples else "see the examples in studies/"
        message = f"{first['input']!r} should be a mapping of `key: value`; {example}"
    elif first["type"] == "literal_error":
        expected = first["ctx"]["expected"].replace(" or ", ", ")
        near = find_near(str(first["input"]), re.findall(r"'([^']+)'", expected))
        message = f"{first['input']!r} is not one of {expected}{f'; did you mean {near}?' if near else ''}"
    elif first["type"] != "value_error":
        kind = first["msg"].replace("Input should be ", "").replace("valid tuple", "list").replace("valid ", "")
        mend = _MENDS.get(first["type"], lambda _: "")
        message = f"{first['input']!r} should be {kind.replace('a integer', 'an integer')}{mend(first['input'])}"
    elif not loc:  # a check of the whole study begins its message with the field
        field, _, message = message.partition(": ")
        loc = tuple(int(p) if p.isdigit() else p for p in re.findall(r"\w+", field))
    return f"{origin.locate(loc)}: {_shorten(f'{field}: {message}', first['input'])}"


def _shorten(text: str, given: Any) -> str:
    """Cut the middle out of what was given, where it is very long, and leave the fix: what would be legal."""
    for long in (repr(given), *_LONG.findall(text)):
        if len(long) > MAX_SHOWN:
            text = text.replace(long, f"{long[:50]} ... {long[-50:]}")
    return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE // 2]} ... {text[-MAX_MESSAGE // 3 :]}"


def _known_keys(loc: FieldPath) -> list[str]:
    if loc[0] in ("defaults", "space"):
        return [name for name in SETTINGS if name != "seed"]
    section: type[BaseModel] = Study
    for part in loc[:-1]:  # a section, or one within it
        annotation = section.model_fields[str(part)].annotation
        kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        (section,) = [kind for kind in kinds if issubclass(kind, BaseModel)]  # Confirm, of Confirm | None
    return list(section.model_fields)


def find_study(text: str, results: Path, *, stored_first: bool = False) -> Path:
    """Find the file of a study by its path, or by the name of a study in ./studies or in the results folder.

    stored_first: prefer the file in the results, which is the one that was last run.

    Raises:
        InputError: there is none; the message says which files were tried.
    """
    path = parse_path(text or ".")
    try:
        if path.suffix in (".yaml", ".yml") or path.is_file():
            return path
    except OSError:  # too long for a path
        pass
    if not SLUG.fullmatch(text) or len(text) > MAX_NAME:
        raise InputError(f"{text}: neither a study file nor the name of a study; give a path ending in .yaml")
    candidates = [Path("studies") / f"{text}.yaml", results / text / "study.yaml"]
    if stored_first:
        candidates.reverse()
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    looked = " or ".join(map(str, candidates))
    raise InputError(f"{text}: no study of that name ({looked}); give the path of its file")


def load_found(path: Path, results: Path, overrides: Iterable[str] = ()) -> Study:
    """Load the study of a file that `find_study` or `list_stored` found; its name says where its results are.

    Raises:
        InputError: as of `load_study`; or the file is in the results of another name, which nobody would read.
    """
    overrides = list(overrides)
    study = load_study(path, overrides, is_stored=is_in(path, results))
    if not any(override.startswith("name=") for override in overrides):
        check_folder(study, path, results)
    return study


def is_in(path: Path, results: Path) -> bool:
    """Whether the file of a study is one that is stored in a folder of results."""
    return path.resolve() == (results / path.parent.name / "study.yaml").resolve()


def check_folder(study: Study, path: Path, results: Path) -> None:
    """Check that the file of a study, if it is among the results, is in those of its name.

    Raises:
        InputError: it is in those of another, which nobody would read.
    """
    folder = path.parent.name
    if is_in(path, results) and study.name != folder:
        raise InputError(
            f"{path}: name: this folder holds study {study.name}; rename the folder to {study.name} again, or write "
            f"name: {folder} in that file"
        )


def list_stored(results: Path) -> list[str]:
    """List the names of the studies that have results in a folder."""
    return sorted(path.parent.name for path in results.glob("*/study.yaml") if SLUG.fullmatch(path.parent.name))


def read_question(path: Path) -> str:
    """Read the question of a study: the first comment of the file of its name in studies/, or of its file, if any.

    What is asked may have been worded better since the study was run; its own file stays as it was.
    """
    for candidate in (Path("studies") / f"{path.parent.name}.yaml", path):
        try:
            lines = read_text(candidate, FIX).splitlines()
        except InputError:  # said where the study is loaded
            continue
        for line in lines:
            if line.startswith("# ") and not line.startswith("# yaml-language-server"):
                return line.removeprefix("# ").strip()
    return ""


def format_study_file(path: Path, study: Study, *, is_changed: bool) -> str:
    """Format the study file that is stored with the results: a copy, or a new one if overrides changed the study.

    A new one begins with the comments at the head of the file, which ask the study's question. So does one of results
    whose command is not run: it may be shipped to where it lies among none.
    """
    text = read_text(path, FIX)
    if not is_changed and not (study.origin and study.origin.command):
        return text
    question = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines(keepends=True))
    return "".join(question) + dump_study(study)


def hide_address(text: str, study: Study) -> str:
    """The text of a study's file as it is stored: without the address that it tells of its end, if it has one."""
    hidden = hide_target(study.notify)
    if not isinstance(study.notify, str) or hidden == study.notify:
        return text
    stored = text.replace(study.notify, hidden)
    content, _ = read_yaml_mapping(stored, Path(f"{study.name}.yaml"))
    return stored if content.get("notify") == hidden else dump_study(study)  # it stood there in other characters


def dump_study(study: Study) -> str:
    """Format the study as YAML that loads to an equal study."""
    return format_yaml(study.model_dump(mode="json", exclude_none=True))


def build_study_schema() -> str:
    """Build the JSON schema of study files, for editors; it is stored in studies/schema.json."""
    return json.dumps(Study.model_json_schema(), indent=2) + "\n"
