"""Plug-ins: found, told apart by their source, installed and taken away again."""

import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from harness import Study, load_model
from harness.commands.compare import check_same_space
from harness.commands.overview import read_standings
from harness.commands.publish import Entry, plan_publication, tabulate
from harness.datasets import identify_dataset, load_dataset
from harness.ledger.provenance import describe_changes, record_provenance
from harness.ledger.tables import build_tables, write_tables
from harness.ledger.trial_folder import TrialFolder
from harness.plugins.source import find_plugin
from harness.plugins.use import describe_plugins, use_plugins
from harness.study.file import dump_study, load_study
from harness.study.largest import list_largest
from harness.worker.trial_run import run_trial
from models.build import build_model
from models.choices import MODELS, NETWORKS
from models.setting import SETTINGS
from models.settings import TrialSettings
from models.training.make_trainer import make_trainer
from models.training.stacked.stack import Stack
from tests.harness.plugins.examples import change, read, trials_of
from tests.harness.small_studies import GOOD, load


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


def test_a_list_with_a_dataset_of_a_plugin_can_be_published(folder: Path) -> None:
    others = folder / "other.yaml"
    others.write_text(GOOD)
    entries = [Entry(study=str(folder / "laplace.yaml")), Entry(study=str(others))]
    first, second = plan_publication(entries, into=folder / "kept", results=folder / "results")
    assert first.source.num_trials == len(trials_of(read(folder)))
    assert [len(one.left) for one in (first, second)] == [one.source.num_trials for one in (first, second)]
    assert tabulate([first, second]).row_count == 3


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
        return [varied, count, largest, len(list(study.enumerate_seeded()))]

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
    with_plugins, without = load_study(folder / "demo.yaml"), load(tmp_path, GOOD, "name=other")
    for studies in ((with_plugins, without), (without, with_plugins)):
        check_same_space(studies)


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


def test_a_package_registers_what_has_changed_in_a_file_that_is_not_its_first(folder: Path) -> None:
    (folder / "my_parts").mkdir()
    (folder / "my_parts.py").rename(folder / "my_parts" / "parts.py")
    (folder / "my_parts" / "__init__.py").write_text("from my_parts.parts import register\n")
    hashes = []
    for seed in (1, 2):
        change(folder / "my_parts", f"default_rng({seed - 1})", f"default_rng({seed})", "parts.py")
        read(folder)
        hashes.append(identify_dataset("stripes").content_hash)
    assert hashes[0] != hashes[1]


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


def test_no_change_is_told_of_a_plugin_that_makes_a_dataset_alone(folder: Path) -> None:
    """Nothing is trained anew for its text, only for other images."""
    add = 'registry.add_dataset("stripes", load_stripes, factors=("orientation", "place"))\n'
    (folder / "my_data.py").write_text((folder / "my_parts.py").read_text() + f"\ndef register(registry): {add}")
    change(folder, f"    {add}", "")
    change(folder, "[my_parts]", "[my_parts, my_data]", "laplace.yaml")
    (folder / "results" / "laplace").mkdir(parents=True)
    (folder / "results" / "laplace" / "study.yaml").write_text("name: laplace\n")
    record_provenance(folder / "results" / "laplace", describe_plugins(read(folder).loaded_plugins))
    told = []
    for name in ("my_data.py", "my_parts.py"):
        (folder / name).write_text((folder / name).read_text() + "# a comment\n")
        told.append([notice.partition(" since")[0] for notice in read_standings(read(folder), folder / "results")[2]])
    assert told == [[], ["my_parts has changed"]]


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
