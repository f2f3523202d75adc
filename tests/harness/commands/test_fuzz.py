"""Study files with random edits, and random overrides: planned, or refused in one sentence; never a traceback."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from harness.commands.overview import summarise_plan
from harness.errors import InputError
from harness.storage.place import Folder
from harness.study.file import load_study
from harness.study.yamlfile import read_yaml_mapping
from tests.harness.small_studies import GOOD, TPE, write

ROOT = Path(__file__).parents[3]
FILES = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "studies").glob("*.yaml"))]
STUDIES = [text for text in FILES if text.startswith("#") and "\nspace:" in text]
BITS = [
    *("010", "0x1F", "0o8", "1_000", "1:30", "1e3", "1e-400", "1e400", ".inf", ".nan", "-1", "0", "0.5", "9" * 30),
    *("yes", "off", "null", "~", "''", "2001-01-01", "a b", "é", "☃", "\x00", "\t", "\n", "\r", "\ufeff", "\u2028"),
    *(
        "[",
        "]",
        "{",
        "}",
        "- ",
        ": ",
        ", ",
        "#",
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        "!!set ",
        "!!python/name:os ",
        "|",
        ">",
    ),
    *("[4, 8]", "{grid: [1, 2]}", "{range: [1, 2, 0.1]}", "{int: [1, 9]}", "{loguniform: [1e-9, 1e9]}", "{}", "[]"),
    *("vae", "vsc", "tpe", "nsga2", "asha", "pbt", "val/elbo", "search: ", "confirm: {}\n", "seeds: [0]\n", "epochs"),
]
bits = st.sampled_from(BITS) | st.text(max_size=4)


@st.composite
def edited(draw: st.DrawFn) -> str:
    """A valid study file in which words, characters or lines were replaced, removed, doubled or put in."""
    text = draw(st.sampled_from(STUDIES))
    for _ in range(draw(st.integers(1, 4))):
        separator = draw(st.sampled_from(["", " ", "\n"]))
        parts = text.split(separator) if separator else list(text)
        at = draw(st.integers(0, max(len(parts) - 1, 0)))
        match draw(st.sampled_from(["replace", "replace", "remove", "double", "insert", "value"])):
            case "replace":
                parts[at : at + 1] = [draw(bits)]
            case "remove":
                del parts[at : at + draw(st.integers(1, 3))]
            case "double":
                parts[at:at] = parts[at : at + 1]
            case "insert":
                parts.insert(at, draw(bits))
            case "value" if separator == "\n" and parts:
                parts[at] = parts[at].partition(":")[0] + f": {draw(bits)}"
        text = separator.join(parts)
    return text


def list_fields() -> list[str]:
    _, lines = read_yaml_mapping("".join([GOOD, TPE.split("\n")[1]]), Path("x"))
    fields = {str(path[-1]) for path in lines} | {f"{path[0]}.{path[-1]}" for path in lines if len(path) > 1}
    return sorted(fields | {"alpha", "beta", "resources.gpu", "confirm.seeds", "scheduler.perturb", "figures"})


overrides = st.tuples(
    st.sampled_from(list_fields()) | bits,
    st.sampled_from(["=", "=", "=", "", "=="]),
    st.lists(bits, max_size=3).map("".join),
).map("".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def plan(path: Path, overrides: Iterable[str], results: Path) -> str:
    """What `plan` does; returns the refusal, if it is one."""
    try:
        study = load_study(path, overrides)
        if study.count_configurations() * len(study.seeds) < 200:
            Console(quiet=True).print(summarise_plan(study, Folder(results)))
    except InputError as error:
        return str(error)
    return ""


FUZZES = {"files": (edited(), st.just("")), "overrides": (st.sampled_from([GOOD, *STUDIES]), overrides)}


@pytest.mark.parametrize("what", FUZZES)
@pytest.mark.parametrize("num_examples", [150, pytest.param(2000, marks=pytest.mark.slow)])
def test_any_edit_is_planned_or_refused_in_one_sentence(folder: Path, what: str, num_examples: int) -> None:
    text, override = FUZZES[what]

    @given(text, override)
    @settings(max_examples=num_examples, suppress_health_check=list(HealthCheck))
    def check(text: str, override: str) -> None:
        path = write(folder, text.encode("utf-8", "replace").decode())
        refusal = plan(path, [override] if override else [], folder / "results")
        assert not refusal or (refusal.isprintable() and 10 < len(refusal) < 1200)
        assert not (folder / "results").exists()

    check()
