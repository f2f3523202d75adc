"""Study files: one sentence for every mistake, what is taken, and where they are found."""

import json
from pathlib import Path
from typing import get_args

import pytest

from harness.errors import InputError
from harness.study.file import find_study, load_study
from harness.study.sections import FigureName
from tests.harness.small_studies import (
    ALPHA,
    GOOD,
    LATENTS,
    SEEDS,
    edit,
    enumerate_grid,
    load,
    refusal,
)
from tests.harness.wrong_studies import WRONG_FIELDS, Wrong

# One sentence for every mistake


@pytest.mark.parametrize("wrong", WRONG_FIELDS, ids=[wrong.id for wrong in WRONG_FIELDS])
def test_a_mistake_is_reported_with_its_line_its_field_and_the_fix(tmp_path: Path, wrong: Wrong) -> None:
    message = refusal(tmp_path, wrong.text)
    assert message.startswith(wrong.place)
    assert wrong.fix in message


@pytest.mark.parametrize(
    ("old", "new", "end"),
    [
        ("latent_dim: 2\n", "latent_dim: 4,8\n", "; write {grid: [4, 8]}"),
        ("[8]", "64,32", "such as 16; write [64, 32]"),
        ("[0, 1]", "0,1", "'0,1' should be a list; write [0, 1]"),
        (SEEDS, "iw_samples: 5,6\n", "'5,6' should be an integer; write one of 5, 6"),
        (SEEDS, "resources: {cpu: '0,5'}\n", "'0,5' should be a number; write one of 0, 5, or 0.5 with a point"),
    ],
)
def test_a_point_is_named_only_where_a_fraction_may_be_meant(tmp_path: Path, old: str, new: str, end: str) -> None:
    assert refusal(tmp_path, edit(old, new)).endswith(end)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "study.yaml: not a mapping; write `key: value` lines, beginning with `name:`"),
        (b"- a\n- b\n", "study.yaml: not a mapping; write `key: value` lines, beginning with `name:`"),
        (b"vae", "study.yaml: not a mapping; write `key: value` lines, beginning with `name:`"),
        (GOOD.encode("utf-16"), "study.yaml: cannot be read (it is not UTF-8 text); save it as UTF-8"),
        (b"name: \xff", "study.yaml: cannot be read (it is not UTF-8 text); save it as UTF-8"),
        ((GOOD + SEEDS).encode(), "study.yaml:13: seeds: given twice (first on line 12); remove one"),
        ((GOOD + "a: [1").encode(), "study.yaml:13: not valid YAML: expected ',' or ']', but got '<stream end>'; "),
        ((GOOD + "---\n" + GOOD).encode(), "study.yaml:13: not valid YAML: but found another document; fix"),
        ((GOOD + "1: 2").encode(), "study.yaml:13: '1' is not a name; write keys as words, such as seeds"),
        (edit("latent_dim: 2\n", "latent_dim: *d\n").encode(), "study.yaml:8: not valid YAML: found undefined alias"),
        (edit(ALPHA, "!!python/name:os.system").encode(), "study.yaml:11: not valid YAML: could not determine a cons"),
        (edit(ALPHA, "9" * 400).encode(), "study.yaml:11: not valid YAML: a number beyond 64 bits; fix that line"),
    ],
)
def test_a_file_that_is_no_study_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    assert refusal(tmp_path, text).startswith(message)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path, reason in {
        tmp_path / "none.yaml": "No such file or directory",
        tmp_path: "Is a directory",
        tmp_path / ("a" * 300 + ".yaml"): "File name too long",
        tmp_path / "a\0.yaml": "",
    }.items():
        with pytest.raises(InputError) as caught:
            load_study(path)
        assert reason in str(caught.value)
        assert str(caught.value).endswith("give the path of a study file")
        assert str(caught.value).isprintable()


def test_a_very_long_value_is_not_repeated_in_full(tmp_path: Path) -> None:
    message = refusal(tmp_path, edit("digits", "x" * 100_000))
    assert len(message) < 600
    assert "one of 'digits', 'mnist', 'fashion-mnist', 'faces', " in message


@pytest.mark.parametrize(
    ("old", "new", "end"),
    [
        ("digits", "MINST", "; did you mean mnist?"),
        ("model: vae", "model: vea", "; did you mean vae?"),
        (ALPHA, "0.2\n    estimator: {grid: [disram]}", "; did you mean disarm?"),
        (SEEDS, "search: {sampler: tep, num_trials: 3}\n", "; did you mean tpe?"),
        (SEEDS, "search: {sampler: tpe, num_trials: 3, metric: val/ebo}\n", "; did you mean val/elbo?"),
    ],
)
def test_a_misspelt_value_is_told_what_may_have_been_meant(tmp_path: Path, old: str, new: str, end: str) -> None:
    assert refusal(tmp_path, edit(old, new)).endswith(end)


def test_a_search_is_offered_no_metric_that_it_may_not_steer_by(tmp_path: Path) -> None:
    message = refusal(tmp_path, edit(SEEDS, "search: {sampler: tpe, num_trials: 3, metric: zzz}\n"))
    assert "no evaluation yields 'zzz'; use one of train/loss, " in message
    assert "test/" not in message


@pytest.mark.parametrize("given", ["x" * 9000, "'a b'" * 3000, list(range(9000)), [[i, i] for i in range(9000)]])
def test_of_a_long_value_the_middle_is_cut_and_the_fix_is_whole(tmp_path: Path, given: object) -> None:
    message = refusal(tmp_path, edit(SEEDS, f"figures: [{json.dumps(given)}]\n"))
    assert message.startswith("study.yaml:12: figures[0]: ")
    assert message.endswith(", ".join(repr(name) for name in get_args(FigureName)))


def test_a_mistake_in_a_merged_mapping_is_reported(tmp_path: Path) -> None:
    text = edit("  - model: vsc\n", "  - <<: {beta: 0}\n    model: vsc\n")
    assert refusal(tmp_path, text).startswith("study.yaml:9: space[1].beta: 0 is not inside [1.2e-38, 3.4e+38]")


# What is taken


def test_merge_keys_and_anchors_may_be_used(tmp_path: Path) -> None:
    text = edit(
        "  - model: vsc\n", "  - <<: {beta: 4.0}\n    model: vsc\n", edit("latent_dim: 2\n", "latent_dim: &d 2\n")
    )
    study = load(tmp_path, edit(LATENTS, "*d", text))
    assert [(c["latent_dim"], c.get("beta")) for c in enumerate_grid(study)] == [(2, None), (2, 4.0)]


def test_numbers_may_be_written_with_an_exponent_alone(tmp_path: Path) -> None:
    study = load(tmp_path, edit("epochs: 2", "learning_rate: {grid: [1e-3, 2E-3]}\n  epochs: 1e1"))
    assert [c["learning_rate"] for c in enumerate_grid(study)][:2] == [0.001, 0.002]
    assert enumerate_grid(study)[0]["epochs"] == 10


def test_numbers_are_those_of_yaml_1_2_in_the_file_and_in_overrides(tmp_path: Path) -> None:
    text = edit("latent_dim: 2\n", "latent_dim: 010\n", edit("[8]", "[010, 0x10]"))
    study = load(tmp_path, text, "batch_size=0o20", "beta={grid: [01, 1e1]}", "iw_samples=1e2", "seeds=[08]")
    first = enumerate_grid(study)[0]
    assert (first["latent_dim"], first["hidden"], first["batch_size"]) == (10, (10, 16), 16)
    assert [c["beta"] for c in enumerate_grid(study)][:2] == [1.0, 10.0]
    assert (study.iw_samples, study.seeds) == (100, (8,))


@pytest.mark.parametrize("name", ["2001-01-01", "off", "y", "1_000", "0b1"])
def test_what_yaml_1_1_would_take_for_something_else_is_a_name(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, edit("demo", name)).name == name
    assert load(tmp_path, GOOD, f"name={name}").name == name


def test_what_the_report_saw_in_passing_can_be_asked_for(tmp_path: Path) -> None:
    defaults = "pixel_scaling: {grid: [minmax, unit_norm]}\n  initialisation: xavier\n  gamma_clamp: {grid: [0, 1e-6]}"
    found = [
        tuple(c.get(name) for name in ("model", "pixel_scaling", "initialisation", "gamma_clamp"))
        for c in enumerate_grid(load(tmp_path, edit(ALPHA, "0.2", edit(LATENTS, "2", edit("epochs: 2", defaults)))))
    ]
    scalings = ("minmax", "unit_norm")
    assert found[:2] == [("vae", scaling, "xavier", None) for scaling in scalings]
    assert set(found[2:]) == {("vsc", scaling, "xavier", clamp) for scaling in scalings for clamp in (0.0, 1e-6)}


# Where they are found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    (tmp_path / "results" / "demo").mkdir(parents=True)
    return tmp_path


def test_a_study_is_found_by_path_by_name_or_among_the_results(here: Path) -> None:
    results = Path("results")
    (results / "demo" / "study.yaml").write_text(GOOD)
    assert find_study("demo", results) == results / "demo" / "study.yaml"
    (here / "studies" / "demo.yaml").write_text(GOOD)
    assert find_study("demo", results) == Path("studies/demo.yaml")
    (here / "demo").write_text(GOOD)
    assert find_study("demo", results) == Path("demo")
    assert find_study("other/demo.yml", results) == Path("other/demo.yml")


def test_a_study_that_is_not_there_is_reported_with_where_it_was_looked_for(here: Path) -> None:
    with pytest.raises(InputError) as caught:
        find_study("nothing", Path("results"))
    assert str(caught.value) == (
        "nothing: no study of that name (studies/nothing.yaml or results/nothing/study.yaml); give the path of its file"
    )


@pytest.mark.parametrize("text", ["..", "../demo", "/etc", "", "a b", "Demo", "x" * 5000, "a\nb"])
def test_what_is_neither_path_nor_name_is_refused(here: Path, text: str) -> None:
    with pytest.raises(InputError) as caught:
        find_study(text, Path("results"))
    assert str(caught.value).isprintable()
    assert "give the path of its file" in str(caught.value) or "neither a study file nor" in str(caught.value)
