"""What is said of wrong plug-ins, and of studies that use them wrongly."""

import shutil
from pathlib import Path

import pytest

from harness import Study, load_model
from harness.datasets import identify_dataset
from harness.errors import InputError
from harness.python.study import as_study
from harness.search.make_source import read_source
from harness.search.source import Source
from harness.study.file import load_found, load_study
from models.choices import MODELS
from tests.harness.plugins.examples import change, read, refusal, trials_of


def test_a_study_without_the_plugin_does_not_know_its_model(folder: Path) -> None:
    read(folder)
    change(folder, "plugins: [my_parts]", "#", "laplace.yaml")
    assert "laplace.yaml:3: dataset: 'stripes' is not one of 'digits', 'mnist', 'fashion-mnist'" in refusal(folder)
    change(folder, "dataset: stripes", "dataset: digits", "laplace.yaml")
    assert "laplace.yaml:8: space[1].model: 'laplace' is not one of vae, vsc" in refusal(folder)


def test_settings_of_a_plugin_are_checked_as_ours_are(folder: Path) -> None:
    change(folder, "{grid: [0.5, 1.0]}", "1000", "laplace.yaml")
    assert "laplace.yaml:9: space[1].scale: 1000 is not inside [0.01, 100]" in refusal(folder)
    change(folder, "scale: 1000", "scael: 1", "laplace.yaml")
    assert "space[1].scael: unknown key; did you mean scale?" in refusal(folder)
    change(folder, "scael: 1", "alpha: 0.5", "laplace.yaml")
    assert "space[1].alpha: a laplace has none; remove it, or set model: vsc" in refusal(folder)
    change(folder, "    alpha: 0.5", "    beta: 2", "laplace.yaml")
    change(folder, "  - model: vae\n", "  - model: vae\n    scale: 2\n", "laplace.yaml")
    assert "space[0].scale: a vae has none; remove it, or set model: laplace" in refusal(folder)


def test_overrides_reach_settings_of_plugins_but_name_no_plugin(folder: Path) -> None:
    study = Study.from_file(folder / "laplace.yaml", ["scale=2"])
    assert {t.settings.scale for t in trials_of(study) if t.settings.model == "laplace"} == {2.0}  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="--set plugins=x: plug-ins are named in the study's file alone"):
        Study.from_file(folder / "laplace.yaml", ["plugins=x"])


def test_a_study_made_in_python_is_told_where_plugins_come_from(folder: Path) -> None:
    """Even where another study uses the plug-in that it names."""
    space = [{"model": "vae", "latent_dim": 2}]
    read(folder)
    with pytest.raises(
        ValueError, match=r"plugins: they are found beside the study's file; read it, with Study.from_f"
    ):
        Study(name="a", dataset="digits", plugins=["my_parts"], space=space)  # type: ignore[arg-type]


def test_a_trial_of_a_plugin_that_has_changed_is_told_from_one_of_a_changed_file(folder: Path) -> None:
    with pytest.raises(
        InputError, match=r"^laplace: its file and my_parts as they are now ask for no trial 0123456789"
    ):
        load_model(read(folder), "0123456789abcdef", folder)


def test_modules_beside_a_plugin_are_no_part_of_it(folder: Path) -> None:
    change(folder, "import numpy as np\n", "import numpy as np\n\nfrom helpers.inner import x\n")
    (folder / "helpers").mkdir()
    (folder / "helpers" / "inner.py").write_text("x = 1\n")
    assert refusal(folder) == (
        "my_parts.py:5: helpers lies beside my_parts, but is no part of it and would not reach workers; make my_parts "
        "a package, a folder with __init__.py, that holds both"
    )
    (folder / "my_parts").mkdir()
    (folder / "my_parts.py").rename(folder / "my_parts" / "__init__.py")
    change(folder / "my_parts", "from helpers.inner", "from my_parts.helpers.inner", "__init__.py")
    (folder / "helpers").rename(folder / "my_parts" / "helpers")
    (folder / "my_parts" / "helpers" / "__init__.py").touch()
    assert len(trials_of(read(folder))) == 10


@pytest.mark.parametrize(
    "name",
    ["device", "error", "train_seconds", "violates", "epochs_left", "parts", "own", "plugins", "to_dict", "model_dump"],
)
def test_settings_are_not_called_like_columns_or_attributes(folder: Path, name: str) -> None:
    (folder / "my_parts.py").write_text(
        "from harness.plugins import setting\n"
        f"class S:\n    {name}: float = setting(1.0, meaning='m')\n"
        "def register(r):\n    r.add_model('a', latent='gaussian', num_heads=2, settings=S)\n"
    )
    assert f"my_parts.py:5: ValueError: setting {name}: the name is taken or not legal; choose another" in refusal(
        folder
    )


WRONG = {
    "not there": (None, "laplace.yaml:4: plugins: there is no my_parts.py, nor an installed module my_parts; put it"),
    "no text": ("\xff\x00", "my_parts.py"),
    "syntax": ("x = 1\ndef\n", "my_parts.py:2: SyntaxError: invalid syntax (my_parts.py, line 2); mend it"),
    "error": ("x = 1\ny = z\n", "my_parts.py:2: NameError: name 'z' is not defined; mend it"),
    "missing library": (
        "import no_such_thing\n",
        "my_parts.py:1: ModuleNotFoundError: No module named 'no_such_thing'",
    ),
    "no register": ("x = 1\n", "my_parts.py: it has no function register(registry); see docs/plugin-example"),
    "name taken": (
        "def register(registry):\n    registry.add_model('vae', latent='gaussian', num_heads=2)\n",
        "my_parts.py:2: ValueError: model vae: the name is taken; choose another; mend it",
    ),
    "no name": (
        "def register(registry):\n    registry.add_dataset('My Data', list)\n",
        "my_parts.py:2: ValueError: dataset 'My Data': no legal name; use a-z, 0-9 and single - or _",
    ),
    "setting taken": (
        "class S:\n    alpha: float = 1\ndef register(r):\n"
        "    r.add_model('a', latent='gaussian', num_heads=2, settings=S)\n",
        "my_parts.py:4: ValueError: setting alpha: the name is taken or not legal",
    ),
    "setting unexplained": (
        "class S:\n    scale: float = 1\ndef register(r):\n"
        "    r.add_model('a', latent='gaussian', num_heads=2, settings=S)\n",
        "my_parts.py:4: ValueError: setting scale: write it as `scale: float = setting(1.0, meaning=...)`",
    ),
    "setting of text": (
        "from harness.plugins import setting\nclass S:\n    mode: str = setting('a', meaning='m')\ndef register(r):\n"
        "    r.add_model('a', latent='gaussian', num_heads=2, settings=S)\n",
        "setting mode: write it as `mode: float = setting(1.0, meaning=...)`, or as int or tuple[int, ...]",
    ),
    "setting without a value": (
        "from harness.plugins import setting\nclass S:\n    width: int = setting(meaning='m')\ndef register(r): pass\n",
        "my_parts.py:3: ValueError: a setting without a default needs an example, which messages show; give example=",
    ),
    "latent misspelt": (
        "def register(r):\n    r.add_model('a', latent='gausian', num_heads=2)\n",
        "my_parts.py:2: ValueError: latent: 'gausian' is none; use gaussian, spike_and_slab, pseudo_inputs, ",
    ),
    "objective misspelt": (
        "def register(r):\n    r.add_model('a', latent='gaussian', num_heads=2, objective='elbow')\n",
        "my_parts.py:2: ValueError: objective: 'elbow' is none; use elbo, capacity, ",
    ),
    "heads of our latent": (
        "def register(r):\n    r.add_model('a', latent='gaussian', num_heads=3)\n",
        "my_parts.py:2: ValueError: num_heads: a gaussian latent has 2 for each dimension; give num_heads=2",
    ),
    "latent of two arguments": (
        "def register(r):\n    r.add_model('a', latent=lambda s, x: None, num_heads=2)\n",
        "latent: it is called as latent(settings): missing a required argument: 'x'; mend its arguments",
    ),
    "network of one argument": (
        "def register(r):\n    r.add_network('n', lambda s: None)\n",
        "build: it is called as build(settings, image_shape, generator): too many positional arguments; mend its",
    ),
}


def test_our_latents_have_one_number_of_heads_each() -> None:
    """By which a plug-in's number is judged."""
    parts = MODELS.maps[-1].values()
    assert len({(own.latent, own.num_heads) for own in parts}) == len({own.latent for own in parts})


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_plugin_is_one_sentence(folder: Path, case: tuple[str | None, str]) -> None:
    text, sentence = case
    (folder / "my_parts.py").unlink()
    if text is not None:
        (folder / "my_parts.py").write_text(text, encoding="latin-1")
    assert sentence in refusal(folder)
    assert MODELS.maps[0] == {}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("my_parts.py", "'my_parts.py' is not the name of a module; write my_parts, without .py"),
        ("../my_parts", "'../my_parts' is not the name of a module"),
        ("json", "json is a module of Python's or of spikeslab's; rename yours"),
        ("models", "models is a module of Python's or of spikeslab's; rename yours"),
        ("torch", "is a library, no plug-in; name a module of your own"),
    ],
)
def test_a_plugin_is_named_by_its_module(folder: Path, name: str, sentence: str) -> None:
    change(folder, "[my_parts]", f"[{name}]", "laplace.yaml")
    assert sentence in refusal(folder)


def test_nothing_that_lies_among_results_is_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = folder / "results" / "laplace"
    results.mkdir(parents=True)
    (results / "resolved.json").write_text("{}")
    shutil.copy(folder / "laplace.yaml", results / "study.yaml")
    (results / "my_parts.py").write_text("raise SystemExit('run')\n")
    (results / "inside").mkdir()
    shutil.copy(folder / "laplace.yaml", results / "inside" / "study.yaml")
    (results / "inside" / "my_parts.py").write_text("raise SystemExit('run')\n")
    monkeypatch.chdir(folder)
    assert load_study(results / "study.yaml").name == "laplace"  # by ./my_parts.py
    for place in (results, results / "inside"):
        monkeypatch.chdir(place)
        with pytest.raises(InputError, match=r"plugins: .*my_parts.py lies among results, whose code is never run"):
            load_study(place / "study.yaml")
    monkeypatch.chdir(folder.parent)
    with pytest.raises(InputError, match=r"there is no my_parts.py or studies/my_parts.py, nor an installed module"):
        load_study(results / "study.yaml")
    (results / "resolved.json").unlink()  # as a stranger may, who has made the folder by hand
    with pytest.raises(InputError, match=r"there is no my_parts.py or studies/my_parts.py, nor an installed module"):
        load_found(results / "study.yaml", folder / "results")
    (folder / "linked").symlink_to(folder / "results")
    with pytest.raises(InputError, match=r"there is no my_parts.py or studies/my_parts.py, nor an installed module"):
        load_found(results / "study.yaml", folder / "linked")
    monkeypatch.chdir(folder)
    assert "laplace" in as_study("laplace", folder / "results").to_yaml()  # by ./my_parts.py


@pytest.mark.parametrize("evaluation", ["probe", "probe_controls", "edits"])
def test_classifiers_are_refused_where_all_labels_are_the_same(folder: Path, evaluation: str) -> None:
    (folder / "laplace.yaml").write_text(f"{(folder / 'laplace.yaml').read_text()}evaluate: [elbo, {evaluation}]\n")
    assert source_of(folder).num_trials == 10
    change(folder, "return images[:500], labels[:500]", "return images[:500], labels[:500] * 0")
    with pytest.raises(InputError) as caught:
        source_of(folder)
    assert str(caught.value) == (
        f"{folder}/laplace.yaml:12: evaluate: {evaluation} needs images of several classes, and the training labels of "
        "stripes are all the same; remove it"
    )
    change(folder, f", {evaluation}]", ", latents, exhibits]", "laplace.yaml")
    assert source_of(folder).num_trials == 10


def source_of(folder: Path) -> Source:
    return read_source(read(folder), folder / "results")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ("zeros((3, 1, 2, 2)), zeros(3), zeros((2, 1, 2, 2)), zeros(2)", "should be arrays of bytes"),
        ("b(3, 1, 2, 2), b(2), b(2, 1, 2, 2), b(2)", "have the shapes (3, 1, 2, 2), (2,), (2, 1, 2, 2), (2,)"),
        ("b(3, 2, 2), b(3), b(2, 2, 2), b(2)", "give images (N, C, H, W) and labels (N,)"),
        ("b(3, 1, 2, 2), b(3), b(0, 1, 2, 2), b(0)", "it has no images to train or to test on"),
        ("b(3, 4, 2, 2), b(3), b(2, 4, 2, 2), b(2)", "its images have 4 channels; give 1 (grey) or 3"),
        ("b(3, 1, 2, 2) + 1, b(3), b(2, 1, 2, 2), b(2)", "its brightest pixel is 1 of 255; multiply its images by 255"),
        ("b(3, 1, 2, 2), b(3), b(2, 1, 2, 2)", "dataset stripes: the plug-in's load() gives no dataset (TypeError"),
        ("int('three')", "load() gives no dataset (ValueError: invalid literal for int()"),
    ],
)
def test_arrays_that_are_no_dataset_are_refused(folder: Path, arrays: str, sentence: str) -> None:
    text = (
        "from numpy import uint8, zeros\ndef b(*shape): return zeros(shape, uint8)\n"
        f"def register(registry): registry.add_dataset('stripes', lambda: ({arrays}))\n"
    )
    (folder / "my_parts.py").write_text(text)
    change(folder, "  - model: laplace\n    scale: {grid: [0.5, 1.0]}", "  - model: vae\n    beta: 2", "laplace.yaml")
    change(folder, "    network: {grid: [mlp, residual]}\n", "", "laplace.yaml")
    read(folder)
    with pytest.raises(InputError) as caught:
        identify_dataset("stripes")
    assert sentence in str(caught.value)
