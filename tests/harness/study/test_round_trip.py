"""Study files as properties: any study survives YAML, any change to one is a study or is refused in one line."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.study import Study
from harness.study.file import dump_study
from harness.study.yamlfile import format_yaml, read_yaml_mapping
from tests.harness.small_studies import (
    ALPHA,
    GOOD,
    RANDOM,
    SEEDS,
    TPE,
    attempt,
    edit,
    enumerate_grid,
    load,
    write,
)

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
        assert enumerate_grid(again) == enumerate_grid(study)


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
