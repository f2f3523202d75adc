"""What `best` prints of a winner."""

import dataclasses
from pathlib import Path

import pytest

from harness.commands.best import format_settings
from harness.study.yamlfile import read_yaml_mapping
from models.setting import SETTING_TYPES, SETTINGS, setting


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
