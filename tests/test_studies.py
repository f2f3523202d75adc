"""The files in studies/: each loads and asks a question; their JSON schema is current and sees what it can."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.search.make_source import make_source
from harness.study.file import build_study_schema, dump_study, load_study
from harness.study.yamlfile import read_yaml_mapping
from tests.harness.small_studies import GOOD
from tests.harness.wrong_studies import WRONG_FIELDS, Wrong

FOLDER = Path(__file__).parents[1] / "studies"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if path.name not in ("claims.yaml", "published.yaml"))
README = FOLDER.parent / "README.md"
SCHEMA = FOLDER / "schema.json"
REGENERATE = "studies/schema.json is not current; write it anew with: .venv/bin/python docs/generate.py"

every_file = pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])


def complaints(content: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    return [error.message for error in validator.iter_errors(content)]


def read(text: str) -> dict[str, Any]:
    return read_yaml_mapping(text, Path("study.yaml"))[0]


def test_the_studies_that_the_readme_names_are_there() -> None:
    needed = {"quickstart", "elbo-vs-latent-dim", "reference-check", "example-random", "example-tpe"}
    searches = ["open-hyperparameters-vae", "open-hyperparameters-vsc", "learning-rate-by-batch-size"]
    for name in [*searches, "training-length", "rate-distortion"]:
        needed |= {name, f"{name}-quick"}
    assert needed <= {path.stem for path in FILES}
    assert list(FOLDER.glob("*.yml")) == []  # which no test here would see


@every_file
def test_a_study_loads_and_is_named_as_its_file(path: Path) -> None:
    assert load_study(path).name == path.stem


@every_file
def test_a_study_begins_with_its_schema_and_its_question(path: Path) -> None:
    first, second, *_ = path.read_text().splitlines()
    assert first == "# yaml-language-server: $schema=schema.json"
    assert second.startswith("# ")
    assert "?" in second


@every_file
def test_a_study_has_trials_that_its_dataset_can_have(path: Path, tmp_path: Path) -> None:
    study = load_study(path)
    assert 0 < study.count_trials() < 1000
    if study.dataset == "digits":
        from harness.datasets import load_dataset

        search = study.model_copy(update={"confirm": None})
        assert make_source(search, load_dataset("digits"), tmp_path).num_trials == study.count_trials()


@every_file
def test_a_study_survives_a_round_trip(path: Path, tmp_path: Path) -> None:
    (tmp_path / "again.yaml").write_text(dump_study(load_study(path)))
    assert load_study(tmp_path / "again.yaml") == load_study(path)


def test_the_studies_that_the_readme_shows_are_studies(tmp_path: Path) -> None:
    shown = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    studies = [text for text in shown if "name: " in text]
    assert len(studies) == 2
    for text in studies:
        path = tmp_path / "study.yaml"
        path.write_text(text)
        assert load_study(path).name in README.read_text()


# The JSON schema


def test_the_schema_is_current() -> None:
    assert SCHEMA.read_text() == build_study_schema(), REGENERATE


def test_the_schema_is_a_schema_that_describes_every_field() -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    fields = list(schema["properties"].items())
    for definition in schema["$defs"].values():
        fields += definition["properties"].items()
    assert len(fields) > 30
    assert [name for name, field in fields if not field.get("description")] == []


@every_file
def test_a_study_is_right_by_the_schema(path: Path) -> None:
    assert complaints(read(path.read_text())) == []


@pytest.mark.parametrize("wrong", [w for w in WRONG_FIELDS if w.in_schema], ids=lambda wrong: wrong.id)
def test_the_schema_sees_a_mistake_of_form(wrong: Wrong) -> None:
    assert complaints(read(GOOD)) == []
    assert complaints(read(wrong.text)) != []


def test_most_mistakes_are_mistakes_of_form() -> None:
    assert sum(wrong.in_schema for wrong in WRONG_FIELDS) > 70
