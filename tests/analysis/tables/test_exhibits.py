# ruff: noqa: RUF001  (a Greek letter, meant as one)
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.drawing.figure import Drawn
from analysis.figures.draw import draw_figures
from analysis.tables import Tables, of_search
from analysis.tables.exhibits import LAYOUT, choose_trials, read_exhibits, shown_note
from analysis.tables.series import NothingToDrawError
from tests.analysis.made_up_exhibits import StudyWithExhibits, make_exhibits
from tests.analysis.synthetic import SyntheticStudy

FIGURES_OF_EXHIBITS = [
    "edited_codes",
    "codes_and_reconstructions",
    "traversals",
    "conditional_samples",
    "prior_samples",
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.savez_compressed(tmp_path / "t.npz", **make_exhibits(4))
    return tmp_path / "t.npz"


@pytest.fixture
def grid(tmp_path: Path) -> Tables:
    study = StudyWithExhibits()
    study.grid([0.5, 0.05], [2, 4, 8, 16, 32], seeds=3)
    for row in study.trials:  # seed 0 is the median
        row["test/elbo"] = (-101.0, -100.0, -102.0)[row["seed"]]
    return study.stored(tmp_path)


def shown(tables: Tables, **choice: int) -> list[tuple[str, float, int, int]]:
    columns = [one.columns for one in choose_trials(tables, **choice)]
    return [(own["model"], own["alpha"], own["latent_dim"], own["seed"]) for own in columns]


def test_what_was_stored_is_read(file: Path) -> None:
    stored = read_exhibits(file)
    for name, array in make_exhibits(4).items():
        assert np.array_equal(stored[name], array)


@pytest.mark.parametrize("kept", [0, 1, 100, 2000, -1])
def test_a_file_cut_short_is_a_reason_and_no_error(file: Path, kept: int) -> None:
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(NothingToDrawError, match=r"^t\.npz is cut short or broken$"):
        read_exhibits(file)


def test_whichever_byte_is_wrong_is_no_error(file: Path) -> None:
    content = file.read_bytes()
    for place in np.random.default_rng(0).choice(len(content), 300, replace=False):
        broken = bytearray(content)
        broken[place] ^= 0xFF
        file.write_bytes(bytes(broken))
        try:
            stored = read_exhibits(file)
        except NothingToDrawError:
            continue
        assert stored.keys() >= LAYOUT.keys()  # a byte that says nothing, such as a date


def test_a_missing_file_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(NothingToDrawError, match=r"t\.npz does not exist"):
        read_exhibits(tmp_path / "t.npz")


def in_colour(pictures: np.ndarray) -> np.ndarray:  # (..., H, W) -> (..., H, W, 3)
    return np.repeat(pictures[..., None], 3, -1)


def test_pictures_in_colour_are_read_where_all_are(file: Path) -> None:
    stored = make_exhibits(2)
    coloured = {name: in_colour(array) if array.dtype == np.uint8 else array for name, array in stored.items()}
    np.savez_compressed(file, **coloured)
    assert read_exhibits(file)["traversals"].shape == (3, 2, 3, 6, 5, 3)
    for name in ("images", "prior_pictures"):
        np.savez_compressed(file, **(coloured | {name: stored[name]}))
        with pytest.raises(NothingToDrawError, match="holds another"):
            read_exhibits(file)


@pytest.mark.parametrize("name", LAYOUT)
def test_a_missing_array_is_named(file: Path, name: str) -> None:
    arrays = make_exhibits(4)
    del arrays[name]
    np.savez_compressed(file, **arrays)
    with pytest.raises(NothingToDrawError, match=f"lacks an array: {name}"):
        read_exhibits(file)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("images", np.zeros((3, 6, 5))),  # not bytes
        ("codes", np.zeros((3, 5), np.float32)),  # fifth latent, of four
        ("codes", np.full((3, 4), np.nan, np.float32)),
        ("reconstructions", np.zeros((2, 6, 5), np.uint8)),
        ("prior_pictures", np.zeros((10, 6), np.uint8)),
        ("traversed_latents", np.full((3, 2), 4)),  # they count from 0
        ("labels", np.array(["a", "b", "c"])),
        ("labels", np.array([{}, {}, {}], dtype=object)),  # a pickle: never loaded
    ],
)
def test_an_array_that_cannot_be_drawn_is_refused(file: Path, name: str, array: np.ndarray) -> None:
    np.savez_compressed(file, **make_exhibits(4) | {name: array})
    with pytest.raises(NothingToDrawError, match=r"^t\.npz "):
        read_exhibits(file)


def test_of_many_trials_the_rule_picks_the_same_few(grid: Tables) -> None:
    vae, vsc = ("vae", pytest.approx(np.nan, nan_ok=True)), ("vsc", 0.05)
    assert shown(grid) == [(*vae, 32, 0), (*vsc, 32, 0)]
    assert shown(grid, num_latent_dims=3) == [(*own, dim, 0) for own in (vae, vsc) for dim in (2, 8, 32)]
    assert shown(grid, only_sparse=True) == [(*vsc, 32, 0)]
    shuffled = replace(grid, trials=grid.trials.sample(frac=1, random_state=1))
    assert shown(shuffled) == [(*vae, 32, 0), (*vsc, 32, 0)]


def test_of_several_networks_each_is_shown_and_named(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    for network in ("mlp", "conv"):
        for seed in (0, 1):
            study.add("vae", 2, seed, network=network)
    shown = choose_trials(study.stored(tmp_path))
    assert [(one.columns["network"], one.columns["seed"]) for one in shown] == [("conv", 0), ("mlp", 0)]
    note = shown_note(pd.DataFrame([one.columns for one in shown]))
    conv, mlp = note.partition(": ")[2].split("; ")[:2]
    assert conv.startswith("VAE, network = conv, latent dimension = 2 (test ELBO ")
    assert mlp.startswith("VAE, network = mlp, latent dimension = 2 (test ELBO ")


def test_of_trials_that_share_a_training_the_longest_is_shown(tmp_path: Path) -> None:
    study = StudyWithExhibits()
    for epochs in (30, 10):
        study.add("vae", 8, 0, epochs=epochs)
    (only,) = choose_trials(study.stored(tmp_path))
    assert only.columns["epochs"] == 30


def test_the_seed_of_the_median_bound_is_shown_and_ranked_among_all(grid: Tables) -> None:
    assert grid.exhibits is not None
    grid.trials["test/elbo"] -= 20.0 * (grid.trials["seed"] == 0)  # the worst of all by far
    assert [seed for *_, seed in shown(grid)] == [2, 2]
    for trial in choose_trials(grid):
        (grid.exhibits / f"{trial.columns['trial_id']}.npz").unlink()
    columns = [trial.columns for trial in choose_trials(grid)]
    assert [(own["seed"], own["standing"]) for own in columns] == 2 * [(0, "test ELBO −121.0, rank 3 of 3 seeds")]


def test_a_trial_without_a_file_gives_way_to_the_next(grid: Tables) -> None:
    assert grid.exhibits is not None
    for trial in choose_trials(grid):
        (grid.exhibits / f"{trial.columns['trial_id']}.npz").unlink()
    assert [seed for *_, seed in shown(grid)] == [1, 1]


def test_a_broken_file_is_left_out_and_the_others_say_so(grid: Tables) -> None:
    assert grid.exhibits is not None
    vae, vsc = choose_trials(grid)
    (grid.exhibits / f"{vae.columns['trial_id']}.npz").write_bytes(b"PK")
    (left,) = choose_trials(grid)
    assert left.columns["trial_id"] == vsc.columns["trial_id"]
    note = shown_note(pd.DataFrame([left.columns]))
    assert note == (
        "Shown, of the trials below: VSC, α = 0.05, latent dimension = 32, epochs = 30, seed = 0 "
        "(test ELBO −101.0, rank 2 of 3 seeds). "
        f"Left out: {vae.columns['trial_id']}.npz is cut short or broken."
    )


def test_what_the_trials_shown_have_in_common_is_said_once(grid: Tables) -> None:
    frame = pd.DataFrame([trial.columns for trial in choose_trials(grid)])
    assert shown_note(frame) == (
        "Shown, of the trials below: VAE, latent dimension = 32 (test ELBO −101.0, rank 2 of 3 seeds); VSC, α = 0.05, "
        "latent dimension = 32 (test ELBO −101.0, rank 2 of 3 seeds); epochs = 30 for all; seed = 0 for all."
    )


def test_the_trials_of_a_search_keep_their_exhibits(grid: Tables) -> None:
    assert of_search(grid).exhibits == grid.exhibits is not None


@pytest.mark.parametrize("damage", ["none stored", "deleted", "cut short"])
def test_lost_exhibits_are_a_reason_and_the_other_figures_are_drawn(damage: str, tmp_path: Path) -> None:
    study = (SyntheticStudy if damage == "none stored" else StudyWithExhibits)()
    study.add("vsc", 8, 0, 0.2)
    study.write(tmp_path)
    for stored in (tmp_path / "exhibits").glob("*.npz"):
        if damage == "deleted":
            stored.unlink()
        else:
            stored.write_bytes(stored.read_bytes()[:500])
    tables = Tables(study.tables().trials, study.tables().history, tmp_path / "exhibits")
    if damage == "none stored":
        tables = replace(tables, exhibits=None)
    told: list[Drawn] = []
    only = ["elbo_by_latent_dim", *FIGURES_OF_EXHIBITS]
    draw_figures(tables, tmp_path / "figures", only=only, on_figure=told.append)
    reason = {
        "none stored": "the study stored no exhibits",
        "deleted": "no finished trial has stored exhibits",
        "cut short": "t00000.npz is cut short or broken",
    }
    assert told[1:] == [Drawn(name, reason=reason[damage]) for name in FIGURES_OF_EXHIBITS]
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"elbo_by_latent_dim"}


@pytest.mark.parametrize(("model", "latent_dim"), [("vsc", 1), ("vae", 200)])
def test_every_figure_is_drawn_whole_of_any_trial(model: str, latent_dim: int, tmp_path: Path) -> None:
    study = StudyWithExhibits()
    study.add(model, latent_dim, 0, 0.2 if model == "vsc" else np.nan)
    tables = study.stored(tmp_path)
    drawn = draw_figures(tables, tmp_path / "figures", only=FIGURES_OF_EXHIBITS)
    names = FIGURES_OF_EXHIBITS if model == "vsc" else FIGURES_OF_EXHIBITS[1:]
    assert [path.name for path in drawn] == [f"{name}.{suffix}" for name in names for suffix in ("png", "pdf", "csv")]
    for path in drawn[2::3]:
        numbers = pd.read_csv(path)
        assert len(numbers)
        assert not [name for name in numbers if name.startswith(("picture", "code"))]


def test_codes_that_are_all_zero_have_no_latents_to_show(tmp_path: Path) -> None:
    empty = make_exhibits(4) | {
        "codes": np.zeros((3, 4), np.float32),
        "edited_latents": np.full(3, -1),
        "traversed_latents": np.full((3, 2), -1),
    }
    study = StudyWithExhibits(changed={0: empty})
    study.add("vsc", 4, 0, 0.2)
    told: list[Drawn] = []
    drawn = draw_figures(study.stored(tmp_path), tmp_path / "f", only=FIGURES_OF_EXHIBITS, on_figure=told.append)
    assert {path.stem for path in drawn} == {"codes_and_reconstructions", "prior_samples"}
    assert len([figure for figure in told if figure.reason.startswith("every code of the trial")]) == 3
