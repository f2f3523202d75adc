# ruff: noqa: RUF001  (minus signs, meant as such)
"""What trials stored of each latent: read, checked, and which trials show theirs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.tables import Tables
from analysis.tables.arrays import read_arrays
from analysis.tables.latents import KL_LAYOUT, LAYOUT, choose_latents
from analysis.tables.series import NothingToDrawError
from models.build import build_model
from models.measures.per_latent import make_latent_arrays
from tests.analysis.made_up_latents import StudyWithLatents
from tests.analysis.synthetic import SyntheticStudy
from tests.models.cases import SMALL, make_images, make_settings


@pytest.mark.parametrize("kind", ["vae", "vsc_exp_relu"])
def test_what_a_model_stores_is_what_analysis_reads(kind: str, tmp_path: Path) -> None:
    model = build_model(make_settings(kind, latent_dim=5), SMALL)
    arrays = make_latent_arrays(model, make_images(40, SMALL), torch.arange(40) % 3)
    np.savez_compressed(tmp_path / "t.npz", **arrays)
    read = read_arrays(tmp_path / "t.npz", LAYOUT, later=KL_LAYOUT)
    assert arrays.keys() == LAYOUT.keys() | KL_LAYOUT.keys() == read.keys()
    assert read["slab_prob_by_class"].shape == (3, 5)


def shown(tables: Tables, num_trials: int = 10) -> list[str]:
    return [trial.columns["label"] for trial in choose_latents(tables, num_trials=num_trials)]


def test_each_configuration_shows_its_largest_latent_dimension_and_the_seed_of_the_median_bound(tmp_path: Path) -> None:
    study = StudyWithLatents()
    study.grid([0.5, 0.05], [2, 8], seeds=3)
    for row in study.trials:
        row["test/elbo"] = (-183.0, -155.0, -150.0)[row["seed"]]
    trials = choose_latents(study.stored(tmp_path), num_trials=10)
    assert {t.columns["standing"] for t in trials} == {"test ELBO −155.0, rank 2 of 3 seeds"}
    columns = [(t.columns["model"], t.columns["latent_dim"], t.columns["seed"]) for t in trials]
    assert columns == [("vae", 8, 1), ("vsc", 8, 1), ("vsc", 8, 1)]
    assert [t.columns["alpha"] for t in trials[1:]] == [0.05, 0.5]
    assert all(t.arrays["kl"].shape == (8,) for t in trials)
    assert all(t.columns["num_left_out"] == 0 for t in trials)


def test_of_many_configurations_some_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    study = StudyWithLatents()
    for alpha in (0.1, 0.2, 0.3, 0.4, 0.5):
        study.add("vsc", 4, 0, alpha)
    trials = choose_latents(study.stored(tmp_path), num_trials=3)
    assert [t.columns["alpha"] for t in trials] == [0.1, 0.3, 0.5]
    assert {t.columns["num_left_out"] for t in trials} == {2}


def test_where_room_is_short_schedules_of_the_sharpness_go_first(tmp_path: Path) -> None:
    study = StudyWithLatents()
    for estimator in ("disarm", "relaxed"):
        for schedule in ("per_epoch", "per_step") if estimator == "relaxed" else ("per_epoch",):
            study.add("vsc", 4, 0, 0.1, estimator=estimator, sharpness_schedule=schedule)
    tables = study.stored(tmp_path)
    assert len(choose_latents(tables, num_trials=3)) == 3
    trials = choose_latents(tables, num_trials=2)
    assert [trial.columns["label"].rpartition(", ")[2] for trial in trials] == ["DisARM", "relaxed"]
    assert {trial.columns["num_left_out"] for trial in trials} == {1}


def test_labels_name_the_setting_that_tells_configurations_apart(tmp_path: Path) -> None:
    study = StudyWithLatents()
    for estimator in ("relaxed", "disarm"):
        study.add("vsc", 4, 0, 0.1, estimator=estimator)
    labels = shown(study.stored(tmp_path))
    assert [label.rpartition(", ")[2] for label in labels] == ["DisARM", "relaxed"]


def test_a_broken_file_is_left_out_and_the_others_say_so(tmp_path: Path) -> None:
    study = StudyWithLatents()
    study.grid([0.5], [4], seeds=1)
    tables = study.stored(tmp_path)
    (tmp_path / "exhibits" / "t00000-latents.npz").write_bytes(b"PK")
    (only,) = choose_latents(tables, num_trials=3)
    assert only.columns["left_out"] == "t00000-latents.npz is cut short or broken"


def test_a_study_that_stored_none_is_a_reason(quickstart: SyntheticStudy) -> None:
    with pytest.raises(NothingToDrawError, match="latents under evaluate"):
        choose_latents(quickstart.tables(), num_trials=3)


def test_a_model_whose_kl_has_no_closed_form_shows_all_else(tmp_path: Path) -> None:
    study = StudyWithLatents()
    study.add("vsc_uai_paper", 5, 0, 0.3)
    tables = study.stored(tmp_path)
    model = build_model(make_settings("vsc_uai_paper", latent_dim=5), SMALL)
    arrays = make_latent_arrays(model, make_images(40, SMALL), torch.arange(40) % 3)
    np.savez_compressed(tmp_path / "exhibits" / "t00000-latents.npz", **arrays)
    (trial,) = choose_latents(tables, num_trials=3)
    assert trial.arrays.keys() == arrays.keys() == LAYOUT.keys()
    assert trial.columns["left_out"] == ""


def test_a_file_that_lacks_what_every_model_has_is_a_reason(tmp_path: Path) -> None:
    study = StudyWithLatents(without=("slab_prob",))
    study.add("vsc", 4, 0, 0.1)
    with pytest.raises(NothingToDrawError, match="lacks an array: slab_prob"):
        choose_latents(study.stored(tmp_path), num_trials=3)
