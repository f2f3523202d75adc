"""Study files: round trips, overrides, where they are found, and one sentence for every mistake."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.study import Study
from harness.study.file import dump_study, find_study, load_study
from harness.study.yamlfile import format_yaml, read_yaml_mapping
from tests.harness.small_studies import (
    ALPHA,
    GOOD,
    LATENTS,
    RANDOM,
    SEEDS,
    TPE,
    WRONG_FIELDS,
    Wrong,
    attempt,
    edit,
    load,
    refusal,
    write,
)

# One sentence for every mistake


@pytest.mark.parametrize("wrong", WRONG_FIELDS, ids=[wrong.id for wrong in WRONG_FIELDS])
def test_a_mistake_is_reported_with_its_line_its_field_and_the_fix(tmp_path: Path, wrong: Wrong) -> None:
    message = refusal(tmp_path, wrong.text)
    assert message.startswith(wrong.place)
    assert wrong.fix in message


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


def test_a_mistake_in_a_merged_mapping_is_reported(tmp_path: Path) -> None:
    text = edit("  - model: vsc\n", "  - <<: {beta: 0}\n    model: vsc\n")
    assert refusal(tmp_path, text).startswith("study.yaml:9: space[1].beta: 0 is not inside [1.2e-38, 3.4e+38]")


# What is taken


def test_merge_keys_and_anchors_may_be_used(tmp_path: Path) -> None:
    text = edit(
        "  - model: vsc\n", "  - <<: {beta: 4.0}\n    model: vsc\n", edit("latent_dim: 2\n", "latent_dim: &d 2\n")
    )
    study = load(tmp_path, edit(LATENTS, "*d", text))
    assert [(c["latent_dim"], c.get("beta")) for c in study.enumerate_grid()] == [(2, None), (2, 4.0)]


def test_numbers_may_be_written_with_an_exponent_alone(tmp_path: Path) -> None:
    study = load(tmp_path, edit("epochs: 2", "learning_rate: {grid: [1e-3, 2E-3]}\n  epochs: 1e1"))
    assert [c["learning_rate"] for c in study.enumerate_grid()][:2] == [0.001, 0.002]
    assert next(study.enumerate_grid())["epochs"] == 10


def test_numbers_are_those_of_yaml_1_2_in_the_file_and_in_overrides(tmp_path: Path) -> None:
    text = edit("latent_dim: 2\n", "latent_dim: 010\n", edit("[8]", "[010, 0x10]"))
    study = load(tmp_path, text, "batch_size=0o20", "beta={grid: [01, 1e1]}", "iw_samples=1e2", "seeds=[08]")
    first = next(study.enumerate_grid())
    assert (first["latent_dim"], first["hidden"], first["batch_size"]) == (10, (10, 16), 16)
    assert [c["beta"] for c in study.enumerate_grid()][:2] == [1.0, 10.0]
    assert (study.iw_samples, study.seeds) == (100, (8,))


@pytest.mark.parametrize("name", ["2001-01-01", "off", "y", "1_000", "0b1"])
def test_what_yaml_1_1_would_take_for_something_else_is_a_name(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, edit("demo", name)).name == name
    assert load(tmp_path, GOOD, f"name={name}").name == name


def test_what_the_report_saw_in_passing_can_be_asked_for(tmp_path: Path) -> None:
    defaults = "pixel_scaling: {grid: [minmax, unit_norm]}\n  initialisation: xavier\n  gamma_clamp: {grid: [0, 1e-6]}"
    found = [
        tuple(c.get(name) for name in ("model", "pixel_scaling", "initialisation", "gamma_clamp"))
        for c in load(tmp_path, edit(ALPHA, "0.2", edit(LATENTS, "2", edit("epochs: 2", defaults)))).enumerate_grid()
    ]
    scalings = ("minmax", "unit_norm")
    assert found[:2] == [("vae", scaling, "xavier", None) for scaling in scalings]
    assert set(found[2:]) == {("vsc", scaling, "xavier", clamp) for scaling in scalings for clamp in (0.0, 1e-6)}


# Round trip

whole, real = st.integers(1, 50), st.floats(1e-5, 0.99)
numeric = {"latent_dim": whole, "epochs": whole, "num_validation": whole, "beta": real, "learning_rate": real}
others: dict[str, st.SearchStrategy[Any]] = {
    "hidden": st.lists(whole, min_size=1, max_size=2),
    "gamma_link": st.sampled_from(["sigmoid", "exp_relu"]),
    "gamma_clamp": st.sampled_from([0.0, 1e-6, 0.1]),
    "pixel_scaling": st.sampled_from(["minmax", "unit_norm"]),
    "initialisation": st.sampled_from(["kaiming", "xavier"]),
}


def one_or_many(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    many = st.lists(value, min_size=1, max_size=3, unique_by=str)
    return value | many.map(lambda items: {"grid": items}) | many.map(lambda items: {"choice": items})


def domain_of(name: str, *, intervals: bool) -> st.SearchStrategy[Any]:
    if name in others:
        return one_or_many(others[name])
    value = real if name == "alpha" else numeric[name]
    pair = st.lists(value, min_size=2, max_size=2, unique=True).map(sorted)
    apart = pair.filter(lambda ends: ends[1] - ends[0] > 1e-6 * ends[1])  # else two of a range's values are one float
    forms = one_or_many(value) | apart.map(lambda ends: {"range": [*ends, (ends[1] - ends[0]) / 2]}).filter(
        lambda raw: value is real or float(raw["range"][2]).is_integer()
    )
    if not intervals or name == "epochs":
        return forms
    kinds = ["int"] if value is whole else ["uniform", "loguniform"]
    return forms | st.sampled_from(kinds).flatmap(lambda kind: pair.map(lambda ends: {kind: ends}))


@st.composite
def studies(draw: st.DrawFn) -> Study:
    """Any legal study."""
    sampler = draw(st.sampled_from(["grid", "random", "tpe"]))

    def some(names: list[str]) -> dict[str, Any]:
        chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=3))
        return {name: draw(domain_of(name, intervals=sampler != "grid")) for name in chosen}

    space = []
    for model in draw(st.lists(st.sampled_from(["vae", "vsc"]), min_size=1, max_size=3)):
        sub = some([*numeric, "hidden"] if model == "vae" else [*numeric, *others])
        for needed in ["latent_dim"] if model == "vae" else ["latent_dim", "alpha"]:
            sub[needed] = draw(domain_of(needed, intervals=sampler != "grid"))
        space.append({"model": model} | sub)
    content: dict[str, Any] = {
        "name": draw(st.from_regex(r"[a-z0-9]{1,4}([_-][a-z0-9]{1,4}){0,2}", fullmatch=True)),
        "dataset": draw(st.sampled_from(["digits", "mnist", "fashion-mnist"])),
        "space": space,
        "defaults": some([*numeric, *others]),
        "seeds": [draw(st.integers(0, 2**62))]
        if sampler == "tpe"
        else draw(st.lists(st.integers(0, 9), min_size=1, unique=True)),
        "search": {"sampler": sampler, "seed": draw(st.integers(0, 9))}
        | ({} if sampler == "grid" else {"num_trials": draw(st.integers(1, 20))}),
        "scheduler": {"name": draw(st.sampled_from(["fifo", "asha"]))},
        "evaluate": draw(st.lists(st.sampled_from(["elbo", "iw_bound", "sparsity"]), unique=True)),
        "resources": {"cpu": draw(st.floats(0.01, 64)), "gpu": draw(st.floats(1e-4, 1) | st.integers(0, 8))},
    }
    if sampler == "tpe" or content["scheduler"]["name"] == "asha":
        for settings in (content["defaults"], *space):
            settings.update({"epochs": draw(whole)} if "epochs" in settings else {})
            settings.pop("pixel_scaling", None)  # bounds of unlike images cannot be compared
    for key in draw(st.lists(st.sampled_from(["seeds", "scheduler", "evaluate", "resources"]), unique=True)):
        if sampler != "tpe":
            del content[key]
    return Study.model_validate(content)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studies")


@given(studies())
def test_a_study_survives_a_round_trip_through_yaml(folder: Path, study: Study) -> None:
    text = dump_study(study)
    again = load(folder, text)
    assert again == study
    assert dump_study(again) == text
    if study.search.sampler == "grid":
        assert list(again.enumerate_grid()) == list(study.enumerate_grid())


@pytest.mark.parametrize("name", ["1e3", "0e0", "7", "010", "true", "null", "2001-01-01", "1_000", "off"])
def test_a_name_that_looks_like_something_else_survives_a_round_trip(tmp_path: Path, name: str) -> None:
    study = load(tmp_path, edit("demo", f"'{name}'"))
    assert load(tmp_path, dump_study(study)).name == name


def test_a_dumped_study_holds_what_its_file_held(tmp_path: Path) -> None:
    dumped, _ = read_yaml_mapping(dump_study(load(tmp_path, GOOD)), Path("x"))
    given_, _ = read_yaml_mapping(GOOD, Path("x"))
    assert {key: dumped[key] for key in given_} == given_


# Fuzz: wherever a study is changed, it is a study still or is refused in one line

json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.integers(-2, 5)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["vae", "vsc", "grid", "tpe", "asha", "val/elbo", "elbo", "..", "a\nb", "1e3"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["grid", "range", "int", "uniform", "loguniform", "choice", "model", "alpha", "name"])
            | st.text(max_size=3),
            inner,
            max_size=2,
        )
    ),
    max_leaves=6,
)
SEEDLINGS = [
    GOOD,
    edit(SEEDS, RANDOM, edit(ALPHA, "{uniform: [0.1, 0.3]}")),
    edit(SEEDS, TPE + "scheduler: {name: asha}\nresources: {cpu: 1, gpu: 0}\nevaluate: [elbo]\n"),
]


def places(content: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from places(value, (*here, key))


@st.composite
def mutated(draw: st.DrawFn) -> str:
    content, _ = read_yaml_mapping(draw(st.sampled_from(SEEDLINGS)), Path("x"))
    for _ in range(draw(st.integers(1, 3))):
        content = copy.deepcopy(content)
        *parents, last = draw(st.sampled_from(list(places(content))[1:]))
        target = content
        for part in parents:
            target = target[part]
        action = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
        if action == "replace":
            target[last] = draw(json_like)
        elif action == "remove":
            del target[last]
        elif isinstance(target, dict):
            target[draw(st.text(max_size=4) | st.sampled_from(["alpha", "beta", "seed", "seeds"]))] = draw(json_like)
        else:
            target.append(draw(json_like))
        assume(content)
    return format_yaml(content)


@given(mutated())
@settings(max_examples=300)
def test_a_study_changed_anywhere_is_a_study_or_is_refused_in_one_line(folder: Path, text: str) -> None:
    path = write(folder, text)
    found = attempt(path)
    if isinstance(found, InputError):
        assert str(found).startswith(f"{path}:")
        assert str(found).isprintable()
        assert len(str(found)) < 1000
    else:
        assert load(folder, dump_study(found)) == found


@given(st.text(max_size=12) | mutated().map(lambda text: text[:40]), st.text(max_size=4) | st.sampled_from([*"=.#"]))
def test_any_override_is_taken_or_refused_in_one_line(folder: Path, value: str, key: str) -> None:
    path = write(folder, GOOD)
    for override in (value, f"{key}={value}", f"space.{key}={value}", f"search.{key}={value}", f"alpha={value}"):
        found = attempt(path, [override])
        assert isinstance(found, Study) or str(found).isprintable()


# Overrides


def test_a_setting_is_overridden_for_every_trial(tmp_path: Path) -> None:
    study = load(
        tmp_path, edit("latent_dim: 2\n", "latent_dim: 2\n    epochs: 7\n"), "epochs=3", "latent_dim={grid: [5, 6]}"
    )
    assert [(c["model"], c["latent_dim"], c["epochs"]) for c in study.enumerate_grid()] == [
        ("vae", 5, 3),
        ("vae", 6, 3),
        ("vsc", 5, 3),
        ("vsc", 6, 3),
    ]


def test_settings_of_the_spike_are_overridden_where_there_is_one(tmp_path: Path) -> None:
    study = load(tmp_path, GOOD, "alpha=0.4")
    assert [c.get("alpha") for c in study.enumerate_grid()] == [None, 0.4, 0.4]


def test_other_fields_are_overridden_and_their_sections_made(tmp_path: Path) -> None:
    overrides = ["seeds=[5]", "search.sampler=random", "search.num_trials=4", "name=other", "iw_samples=7"]
    study = load(tmp_path, GOOD, *overrides)
    assert (study.seeds, study.search.sampler, study.search.num_trials) == ((5,), "random", 4)
    assert (study.name, study.iw_samples) == ("other", 7)
    empty = edit("  epochs: 2\n  hidden: [8]\n", "")
    assert next(load(tmp_path, empty, "epochs=3").enumerate_grid())["epochs"] == 3


def test_the_last_of_two_overrides_holds(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD, "iw_samples=7", "iw_samples=8").iw_samples == 8


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "--set epochs: not key=value; write --set epochs=3 or --set search.num_trials=20"),
        ("=3", "--set =3: not key=value; write --set epochs=3"),
        ("", "--set : not key=value"),
        ("epochs=0", "--set epochs=0: defaults.epochs: 0 is too small; give at least 1"),
        ("epochs=", "--set epochs=: defaults.epochs: no value; give one, or remove it"),
        ("epoch=3", "--set epoch=3: epoch: unknown key; did you mean epochs?"),
        ("lr=3", "--set lr=3: lr: unknown key; use one of name"),
        ("seed=3", "--set seed=3: seed: unknown key; did you mean seeds?"),
        ("seeds=3", "--set seeds=3: seeds: 3 should be a list"),
        ("search.sampler=bayes", "--set search.sampler=bayes: search.sampler: 'bayes' is not one of 'grid'"),
        ("search.smapler=tpe", "--set search.smapler=tpe: search.smapler: unknown key; did you mean sampler?"),
        ("search=tpe", "--set search=tpe: search: 'tpe' should be a mapping"),
        ("latent_dim=[4, 8]", "--set latent_dim=[4, 8]: defaults.latent_dim: a list; write {grid: [4, 8]}"),
        ("latent_dim=4,8", "--set latent_dim=4,8: defaults.latent_dim: '4,8' is not a whole number, such as 16; "),
        ("seeds=0,1", "--set seeds=0,1: seeds: '0,1' should be a list; write [0, 1]"),
        ("epochs=1_000", "--set epochs=1_000: defaults.epochs: '1_000' is not a whole number, such as 16; write 1000"),
        ("name=a/b", "--set name=a/b: name: 'a/b' is not a slug"),
        ("name.x=1", "--set name.x=1: study.yaml has no field name.x; write it as section.key=value"),
        ("space.7.alpha=1", "--set space.7.alpha=1: study.yaml has no field space.7.alpha"),
        ("hidden=[8", "--set hidden=[8:1: not valid YAML: expected"),
        ("hidden=a: b", "--set hidden=a: b:1: not valid YAML: mapping values are not allowed"),
        ("hidden=8\nepochs: 3", "--set hidden=8 epochs: 3: more than one value; give each its own --set"),
        ("a..b=1", "--set a..b=1: a: unknown key"),
        ("model=vae", "study.yaml:11: space[1].alpha: a vae has none; remove it"),
    ],
)
def test_a_wrong_override_is_reported_as_it_was_given(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, GOOD, [override]).startswith(message)


def test_a_mistake_of_the_file_is_reported_with_its_line_also_beside_an_override(tmp_path: Path) -> None:
    message = refusal(tmp_path, edit("alpha: 0.2", "alpha: 2"), ["epochs=3"])
    assert message.startswith("study.yaml:11: space[1].alpha: 2 is not inside")


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
