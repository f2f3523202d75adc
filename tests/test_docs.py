"""README and docs: short, built offline without a dead link, and true."""

import ast
import builtins
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from docs.generate import make_study_file
from harness.cli.main import app
from harness.metrics import EVALUATION_METRICS
from harness.study.file import load_study
from models.choices import MODELS
from models.measures.metric_names import CONTROL_INPUTS, INPUTS, LABEL_SETS, PROBES

FOLDER = Path(__file__).parents[1]
README = FOLDER / "README.md"
PAGES = [README, *sorted((FOLDER / "docs").glob("*.md"))]
PROJECT = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def test_readme_has_fifteen_hundred_words_at_most() -> None:
    assert 500 < len(README.read_text().split()) <= 1500


def test_the_reference_of_study_files_is_as_their_schema_says() -> None:
    assert (FOLDER / "docs" / "study-file.md").read_text() == make_study_file(), "run `make docs`"
    assert " of a vsc_learned_alpha at its start | number, ≥ 1e-06 and ≤ 0.999999 or `{grid: ...}`" in (
        make_study_file()
    )
    assert "| `learning_rate` |" in make_study_file()
    rows = [line.split(" | ") for line in make_study_file().splitlines() if line.startswith("| `")]
    needed = {row[0].strip("| `") for row in rows if row[-1] == "needed |"}
    assert needed == {"name", "dataset", "space", "model", "latent_dim", "alpha", "tc_weight"}


def test_every_model_is_on_the_page_of_models() -> None:
    named = set(
        re.findall(
            r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", (FOLDER / "docs" / "models.md").read_text(), re.MULTILINE))
        )
    )
    assert named >= MODELS.keys()


def test_every_metric_is_on_the_page_of_metrics_if_not_by_its_whole_name_by_its_parts() -> None:
    page = (FOLDER / "docs" / "metrics.md").read_text()
    of_probes = re.compile(
        f"probe/({'|'.join(PROBES)})_({'|'.join((*INPUTS, *CONTROL_INPUTS))})_({'|'.join(LABEL_SETS)})"
    )
    for name in (name for names in EVALUATION_METRICS.values() for name in names):
        whole = of_probes.sub("", name).removeprefix("disentanglement/")
        base = re.sub(r"_(floor|ceiling|same_image|noise|bias|beyond_other|other)$", "", whole)
        parts = [base.rpartition("/")[2] if "gradient/" not in name else "gradient/", whole.removeprefix(base)]
        assert all(part in page for part in parts), name


def test_the_documentation_is_built_offline_and_a_dead_link_is_refused(tmp_path: Path) -> None:
    def build(folder: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(folder / "mkdocs.yml")]
        environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "http_proxy": "http://127.0.0.1:9"}
        environment |= {"https_proxy": "http://127.0.0.1:9"}
        command += ["-d", str(tmp_path / "site")]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)

    done = build(FOLDER)
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").glob("*.html"):
        fetched = re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="(https?:[^"]+)"', page.read_text())
        assert fetched == [], page

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[nowhere](nowhere.md)\n")
    (tmp_path / "mkdocs.yml").write_text(re.sub(r"^nav:.*", "", (FOLDER / "mkdocs.yml").read_text(), flags=re.S | re.M))
    done = build(tmp_path)
    assert done.returncode != 0
    assert "nowhere.md" in done.stderr


@every_page
def test_what_a_page_links_to_in_the_repository_is_there(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)", target.read_text(), flags=re.MULTILINE)
            assert anchor in {re.sub(r"\W+", "-", heading.lower()).strip("-") for heading in headings}, link


@every_page
def test_the_python_of_a_page_uses_no_name_that_the_page_does_not_define(page: Path) -> None:
    text = "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE))
    nodes = list(ast.walk(ast.parse(text)))
    used = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    made = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    made |= {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom | ast.Import)
        for alias in node.names
    }
    made |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    made |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    assert used <= made | set(dir(builtins))


@every_page
def test_the_commands_of_a_page_are_commands(page: Path) -> None:
    group = typer.main.get_command(app)
    for line in re.findall(r"^    (?:\.venv/bin/)?spikeslab (.*)|`spikeslab ([^`]*)`", page.read_text(), re.MULTILINE):
        words = re.sub(r"\s#.*", "", "".join(line)).split()
        command = group.commands.get(words[0])  # type: ignore[attr-defined]
        assert command, words
        if hasattr(command, "commands") and words[1:] and words[1] in command.commands:
            command = command.commands[words[1]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, words


@every_page
def test_a_page_names_no_study_that_nobody_has_made(page: Path) -> None:
    """Those of `studies/`, and those that are made on it or, as more pages than one go on from there, in README."""
    text = page.read_text()
    made = {path.stem for path in (FOLDER / "studies").glob("*.yaml")}
    made.update(re.findall(r"(?:^name: |--set name=)(\S+)", text + README.read_text(), re.MULTILINE))
    commands = r"^    spikeslab (?:best|compare|dashboard|export|plot|status) ([^#\n]*)"
    for words in re.findall(commands, text, re.MULTILINE):
        assert made.issuperset(words.partition(" --")[0].split()), words


@every_page
def test_the_studies_of_a_page_are_studies(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)):
        if "name: " in text and "dataset: " in text:
            path = tmp_path / f"{number}.yaml"
            path.write_text(text)
            load_study(path)


def test_the_badges_are_true() -> None:
    texts = {path.stem: path.read_text() for path in (FOLDER / "docs" / "badges").glob("*.svg")}
    assert set(texts) == {"python", "licence", "typed"}
    assert f">{PROJECT['requires-python'].removeprefix('>=')}+<" in texts["python"]
    assert f">{PROJECT['license']}<" in texts["licence"]
    assert tomllib.loads((FOLDER / "pyproject.toml").read_text())["tool"]["mypy"]["strict"] is True
    assert all((FOLDER / package / "py.typed").exists() for package in ("harness", "models", "analysis"))


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((FOLDER / "CITATION.cff").read_text())
    assert (cited["version"], cited["license"], cited["title"]) == tuple(
        PROJECT[key] for key in ("version", "license", "name")
    )
