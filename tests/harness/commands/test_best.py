"""What `best` prints of a winner."""

import dataclasses
import io
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from harness.commands.best import _write_apart, format_settings, summarise_best
from harness.errors import InputError
from harness.ledger.tables import write_tables
from harness.storage.place import Folder
from harness.study.file import load_study
from harness.study.yamlfile import read_yaml_mapping
from models.setting import SETTING_TYPES, SETTINGS, setting
from tests.analysis.synthetic import SyntheticStudy
from tests.harness.small_studies import load


def test_the_winners_settings_are_those_of_a_study_lists_of_a_plug_in_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table holds lists as JSON, and whole numbers as floats where other models have none."""
    for name, kind in {"widths": tuple[int, ...], "num_parts": int}.items():
        own = dataclasses.make_dataclass("Own", [(name, kind, setting(None, meaning="one of a plug-in", of=("vae",)))])
        monkeypatch.setitem(SETTINGS.maps[0], name, dataclasses.fields(own)[0])
        monkeypatch.setitem(SETTING_TYPES.maps[0], name, kind)
    best = {"model": "vae", "latent_dim": 8, "alpha": float("nan"), "hidden": "[400, 200]", "learning_rate": 1e-3}
    text = format_settings(best | {"widths": "[1, 2]", "num_parts": 3.0})
    assert read_yaml_mapping(text, Path("study.yaml"))[0] == {
        "space": [
            {
                **{"model": "vae", "latent_dim": 8, "hidden": [400, 200], "learning_rate": 1e-3},
                **{"widths": [1, 2], "num_parts": 3},
            }
        ]
    }
    assert "num_parts: 3.0" not in text


@pytest.fixture
def traded_off(tmp_path: Path) -> Path:
    """The folder of a published search by rate and distortion, to be changed."""
    published = Path(__file__).parents[3] / "studies/published/rate-distortion-quick"
    return Path(shutil.copytree(published, tmp_path / "rate-distortion-quick"))


def write_best(folder: Path) -> str:
    written = io.StringIO()
    Console(width=200, file=written).print(summarise_best(load_study(folder / "study.yaml"), Folder(folder.parent)))
    return written.getvalue()


def list_front(text: str) -> pd.DataFrame:
    rows = re.findall(r"^([0-9a-f]{16}) +(\S+) +(\S+) +(.*?) *$", text, re.MULTILINE)
    return pd.DataFrame(rows, columns=["trial_id", "rate", "distortion", "label"]).astype(
        {"rate": float, "distortion": float}
    )


def test_a_front_is_ordered_and_its_numbers_tell_its_trials_apart(traded_off: Path) -> None:
    front = list_front(write_best(traded_off))
    assert len(front) == 24
    assert (front["rate"].is_monotonic_increasing, front["distortion"].is_monotonic_decreasing) == (True, True)
    assert (front["rate"].is_unique, front["distortion"].is_unique) == (True, True)
    trials = pd.read_parquet(traded_off / "trials.parquet").set_index("trial_id")
    for row in front.itertuples():
        alpha, beta = (float(number) for number in re.findall(r"= ([\d.]+)", row.label))
        assert alpha == pytest.approx(trials.loc[row.trial_id, "alpha"], rel=0.01)
        assert beta == pytest.approx(trials.loc[row.trial_id, "beta"], rel=0.01)


def test_a_trial_that_breaks_a_constraint_is_not_on_the_front(traded_off: Path) -> None:
    trials = pd.read_parquet(traded_off / "trials.parquet")
    first = list_front(write_best(traded_off))["trial_id"][0]
    trials["violates"] = trials["violates"].astype(object).where(trials["trial_id"] != first, "val/rate >= 0.1")
    trials.to_parquet(traded_off / "trials.parquet")
    text = write_best(traded_off)
    assert first not in list(list_front(text)["trial_id"])
    assert "no other that keeps to the constraints is as good in every metric" in text


@pytest.mark.parametrize("status", ["running", None])
def test_a_front_of_no_finished_trial_is_refused_in_one_sentence(traded_off: Path, status: str | None) -> None:
    trials = pd.read_parquet(traded_off / "trials.parquet")
    (trials.assign(status=status) if status else trials.head(0)).to_parquet(traded_off / "trials.parquet")
    with pytest.raises(
        InputError,
        match=r"^rate-distortion-quick: no (finished )?trial has .*; see spikeslab status rate-distortion-quick$",
    ):
        write_best(traded_off)


def test_where_a_scheduler_stopped_a_seed_of_every_configuration_the_fix_is_named(tmp_path: Path) -> None:
    study = SyntheticStudy()
    for latent_dim in (4, 8):
        for seed, status in enumerate(("finished", "stopped")):
            study.add_searched(-10.0, latent_dim=latent_dim, seed=seed, status=status, scheduler="asha")
    write_tables(tmp_path / "halved", (study.tables().trials, study.tables().history))
    text = (
        "name: halved\ndataset: digits\nspace: [{model: vae, latent_dim: {int: [4, 8]}}]\nseeds: [0, 1]\n"
        "search: {sampler: random, num_trials: 2}\nscheduler: {name: asha}\n"
    )
    with pytest.raises(InputError, match=r"^halved: every .* was stopped early with one .* confirm over several"):
        summarise_best(load(tmp_path, text), Folder(tmp_path))


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([-30.0, -27.1], ["\N{MINUS SIGN}30.00", "\N{MINUS SIGN}27.10"]),
        ([0.0104, 0.0102], ["0.0104", "0.0102"]),
        ([0.0031], ["0.003"]),
        ([0.0, 0.0, 1.0], ["0.00", "0.00", "1.00"]),
    ],
)
def test_numbers_have_as_many_decimals_as_tell_them_apart(values: list[float], texts: list[str]) -> None:
    assert _write_apart(values) == texts
