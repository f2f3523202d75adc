"""Plug-ins: found, told apart by their source, installed and taken away again, and what is said of wrong ones."""

import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from harness import Study, load_model
from harness.commands.compare import check_same_space
from harness.datasets import identify_dataset, load_dataset
from harness.errors import InputError
from harness.ledger.provenance import describe_changes, record_provenance
from harness.ledger.tables import build_tables, write_tables
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder
from harness.plugins.source import find_plugin
from harness.plugins.use import describe_plugins, use_plugins
from harness.search.grid_and_random import plan_trials
from harness.study.file import dump_study, load_study
from harness.study.largest import list_largest
from harness.worker.trial_run import run_trial
from models.build import build_model
from models.choices import MODELS, NETWORKS
from models.setting import SETTINGS
from models.settings import TrialSettings
from models.training.make_trainer import make_trainer
from models.training.stacked.stack import Stack
from tests.e2e.conftest import REPOSITORY
from tests.harness.small_studies import GOOD, load

EXAMPLE = REPOSITORY / "docs" / "plugin-example"


@pytest.fixture(autouse=True)
def none_left() -> Iterator[None]:
    yield
    use_plugins(())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example in a folder of its own."""
    shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("__pycache__", "results"))
    return tmp_path / "example"


def read(folder: Path) -> Study:
    return Study.from_file(folder / "laplace.yaml")


def trials_of(study: Any) -> list[Trial]:
    study.use_plugins()
    return plan_trials(study, identify_dataset(study.dataset))


def change(folder: Path, old: str, new: str, file: str = "my_parts.py") -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(folder)
    message = str(caught.value)
    assert message.isprintable()
    return message.replace(f"{folder}/", "")


def test_a_study_with_plugins_plans_their_model_network_and_dataset(folder: Path) -> None:
    study = read(folder)
    trials = trials_of(study)
    settings = [trial.settings for trial in trials if trial.settings.model == "laplace" and trial.settings.seed == 0]
    points = {(s.scale, s.network) for s in settings}  # type: ignore[attr-defined]
    assert points == {(0.5, "mlp"), (0.5, "residual"), (1.0, "mlp"), (1.0, "residual")}
    assert {trial.dataset for trial in trials} == {"stripes"}
    assert load_study(folder / "laplace.yaml").model_dump() == study.model_dump()
    (folder / "laplace.yaml").write_text(dump_study(study))
    assert [trial.trial_id for trial in trials_of(read(folder))] == [trial.trial_id for trial in trials]


def test_a_trial_of_the_example_trains_and_its_model_is_loaded_again(folder: Path) -> None:
    study, results = read(folder), folder / "results"
    trials, dataset, ended = trials_of(study), load_dataset("stripes"), []
    chosen = [trial for trial in trials if trial.settings.seed == 0 and trial.settings.network == "residual"]
    for trial in chosen:
        list(run_trial(trial, study.measures, dataset, results / "laplace"))
        result = TrialFolder(results / "laplace", trial).read_result()
        assert result is not None
        assert result.status == "finished", result.error
        assert float(result.history[-1]["train/loss"] or 0) < float(result.history[0]["train/loss"] or 0)
        ended.append((trial, result))
    table, _ = build_tables(study, ended, {})
    assert table["scale"].tolist() == [0.5, 1.0]
    write_tables(results / "laplace", (table, pd.DataFrame({"trial_id": [], "epoch": [], "train/loss": []})))
    use_plugins(())  # another study has been read meanwhile
    model = load_model(study, chosen[0].trial_id, results)
    bound = float(model.log_prob(dataset.test_images, num_samples=1).mean())
    assert bound == pytest.approx(ended[0][1].metrics["test/elbo"], abs=1.5)


def test_what_a_plugin_builds_depends_on_the_seed_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its layers draw from torch's own generator, which is left as it was."""
    read(folder)
    settings = TrialSettings.from_dict({"model": "laplace", "latent_dim": 2, "network": "residual", "hidden": [4]})
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("a graphics card is seeded"))
    torch.default_generator.manual_seed(5)
    before = torch.random.get_rng_state()
    first = build_model(settings, (1, 8, 8)).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.default_generator.manual_seed(6)
    again = build_model(settings, (1, 8, 8)).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = TrialSettings.from_dict(settings.to_dict() | {"seed": 1})
    assert not torch.equal(
        build_model(other, (1, 8, 8)).state_dict()["encoder.skip.weight"], first["encoder.skip.weight"]
    )


def test_a_network_of_a_plugin_is_no_work_for_a_stack(folder: Path) -> None:
    read(folder)
    vae = TrialSettings(model="vae", latent_dim=2, network="residual")
    assert not Stack.can_train(vae)
    assert not isinstance(make_trainer(vae, (1, 8, 8), latent_dim=2), Stack)


def test_a_changed_plugin_makes_new_trials_of_what_it_makes_and_no_others(folder: Path) -> None:
    before = trials_of(read(folder))
    change(folder, "A hidden layer beside", "One hidden layer beside")
    after = trials_of(read(folder))
    same = [a.trial_id == b.trial_id for a, b in zip(after, before, strict=True)]
    assert same == [trial.settings.model == "vae" for trial in before]
    assert len({a.training_id for a in before} & {a.training_id for a in after}) == 2


def test_where_a_plugin_lies_is_no_part_of_the_identity(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "moved")
    ids = [[trial.trial_id for trial in trials_of(read(at))] for at in (folder, tmp_path / "moved")]
    assert ids[0] == ids[1]


def test_trials_without_a_plugin_are_those_of_a_study_without(tmp_path: Path, folder: Path) -> None:
    (folder / "demo.yaml").write_text(GOOD + "plugins: [my_parts]\n")
    with_plugins = [t.trial_id for t in trials_of(load_study(folder / "demo.yaml"))]
    assert with_plugins == [t.trial_id for t in trials_of(load(tmp_path, GOOD))]


def test_a_dataset_of_a_plugin_is_known_by_its_content(folder: Path) -> None:
    read(folder)
    first = identify_dataset("stripes").content_hash
    change(folder, "with one bright row", "with a bright row")
    read(folder)
    assert identify_dataset("stripes").content_hash == first
    change(folder, "default_rng(0)", "default_rng(1)")
    read(folder)
    assert identify_dataset("stripes").content_hash != first


def test_studies_of_one_process_know_their_own_plugins_alone(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "other")
    change(tmp_path / "other", '"laplace",\n', '"cauchy",\n')
    change(tmp_path / "other", "model: laplace", "model: cauchy", "laplace.yaml")
    first, second = read(folder), read(tmp_path / "other")
    assert "cauchy" in MODELS
    assert "laplace" not in MODELS
    ids = [trial.trial_id for trial in trials_of(first)]
    assert "laplace" in MODELS
    assert "cauchy" not in MODELS
    assert len(trials_of(second)) == 10
    load(tmp_path, GOOD)
    assert not {"laplace", "cauchy"} & set(MODELS)
    assert "scale" not in SETTINGS
    assert NETWORKS.maps[0] == {}
    assert [trial.trial_id for trial in trials_of(first)] == ids


def test_what_a_study_means_is_the_same_whichever_was_read_last(folder: Path, tmp_path: Path) -> None:
    change(folder, "{latent_dim: 4,", "{latent_dim: 4, scale: {grid: [0.5, 1.0, 2.0]},", "laplace.yaml")
    change(folder, "    scale: {grid: [0.5, 1.0]} ", "    ", "laplace.yaml")

    def describe(study: Study) -> list[Any]:
        load(tmp_path, GOOD)
        varied = study.varied_settings
        load(tmp_path, GOOD)
        count = study.count_configurations()
        load(tmp_path, GOOD)
        largest = [settings.to_dict() for settings in list_largest(study)]
        load(tmp_path, GOOD)
        return [varied, count, largest, len(list(study.enumerate_grid()))]

    varied, count, largest, num_points = describe(read(folder))
    assert varied == ("network", "scale")
    assert count == num_points == 7
    assert [(settings["model"], settings["network"]) for settings in largest] == [
        ("vae", "mlp"),
        ("laplace", "mlp"),
        ("laplace", "residual"),
    ]


def test_searches_with_and_without_a_plugin_are_compared(folder: Path, tmp_path: Path) -> None:
    (folder / "demo.yaml").write_text(GOOD + "plugins: [my_parts]\n")
    with_plugins, without = load_study(folder / "demo.yaml"), load(tmp_path, GOOD)
    for studies in ((with_plugins, without), (without, with_plugins)):
        check_same_space(studies)


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
}


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


def test_a_package_and_an_installed_module_are_plugins_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with its files, each of which is part of what it is known by."""
    alone = [trial.trial_id for trial in trials_of(read(folder))]
    (folder / "installed" / "my_parts").mkdir(parents=True)
    (folder / "my_parts.py").rename(folder / "installed" / "my_parts" / "parts.py")
    (folder / "installed" / "my_parts" / "__init__.py").write_text("from my_parts.parts import register\n")
    monkeypatch.syspath_prepend(str(folder / "installed"))
    packed = [trial.trial_id for trial in trials_of(read(folder))]
    assert sum(a == b for a, b in zip(alone, packed, strict=True)) == 2  # those of the vae
    assert sys.modules["my_parts.parts"].__name__ == "my_parts.parts"
    change(folder / "installed" / "my_parts", "at_least=0.01", "at_least=0.02", "parts.py")
    again = [trial.trial_id for trial in trials_of(read(folder))]
    assert sum(a == b for a, b in zip(again, packed, strict=True)) == 2
    plugin = find_plugin("my_parts", folder / "laplace.yaml")
    assert [path for path, _ in plugin.files] == ["my_parts/__init__.py", "my_parts/parts.py"]


def test_trials_of_plugins_are_unpickled_without_them(folder: Path, tmp_path: Path) -> None:
    """By the light processes, which train nothing themselves, and name the same folder."""
    trial = trials_of(read(folder))[1]
    (tmp_path / "trial").write_bytes(pickle.dumps(trial))
    program = (
        "import pickle, sys; trial = pickle.loads(open('trial', 'rb').read()); trial.__dict__.pop('training_id', 0);"
        "print(trial.training_id, trial.settings.scale, sorted({'torch', 'my_parts'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.strip() == f"{trial.training_id} 0.5 []", done.stderr


def test_a_change_is_told_from_the_record_of_the_last_run(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("name: laplace\n")
    record_provenance(tmp_path, {**describe_plugins(read(folder).loaded_plugins)})
    assert describe_changes(tmp_path, describe_plugins(read(folder).loaded_plugins)) == []
    change(folder, "A hidden layer", "One hidden layer")
    (told,) = describe_changes(tmp_path, describe_plugins(read(folder).loaded_plugins))
    assert told.startswith("my_parts has changed since the last run (")
    assert told.endswith("what it makes is trained anew.")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ("zeros((3, 1, 2, 2)), zeros(3), zeros((2, 1, 2, 2)), zeros(2)", "should be arrays of bytes"),
        ("b(3, 1, 2, 2), b(2), b(2, 1, 2, 2), b(2)", "have the shapes (3, 1, 2, 2), (2,), (2, 1, 2, 2), (2,)"),
        ("b(3, 2, 2), b(3), b(2, 2, 2), b(2)", "give images (N, C, H, W) and labels (N,)"),
        ("b(3, 1, 2, 2), b(3), b(0, 1, 2, 2), b(0)", "it has no images to train or to test on"),
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


def test_a_model_takes_over_settings_of_ours_and_parts_of_ours(folder: Path) -> None:
    (folder / "my_parts.py").write_text(
        "from harness.plugins import Registry\n"
        "from models.settings import FIELDS\n"
        "SPIKE = [name for name in FIELDS if 'vsc' in FIELDS[name].metadata['of']]\n"
        "def register(registry: Registry) -> None:\n"
        "    registry.add_model('mine', latent='spike_and_slab', num_heads=3, also=SPIKE)\n"
    )
    (folder / "laplace.yaml").write_text(
        "name: laplace\ndataset: digits\nplugins: [my_parts]\nspace:\n  - {model: mine, latent_dim: 2, alpha: 0.2}\n"
    )
    (trial,) = trials_of(read(folder))
    ours = TrialSettings(model="vsc", latent_dim=2, alpha=0.2)
    assert trial.settings.to_dict() == ours.to_dict() | {"model": "mine"}
    assert isinstance(build_model(trial.settings, (1, 2, 2)), type(build_model(ours, (1, 2, 2))))
    assert np.array_equal(
        *(build_model(s, (1, 2, 2)).state_dict()["encoder.layers.0.weight"] for s in (trial.settings, ours))
    )
