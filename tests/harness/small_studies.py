"""A small study, edited into others."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.study import Study
from harness.study.file import load_study

GOOD = """\
name: demo
dataset: digits
defaults:
  epochs: 2
  hidden: [8]
space:
  - model: vae
    latent_dim: 2
  - model: vsc
    latent_dim: {grid: [2, 4]}
    alpha: 0.2
seeds: [0, 1]
"""
LATENTS, ALPHA, SEEDS = "{grid: [2, 4]}", "0.2", "seeds: [0, 1]\n"
TPE = "seeds: [0]\nsearch: {sampler: tpe, num_trials: 6}\n"
RANDOM = SEEDS + "search: {sampler: random, num_trials: 6}\n"


def edit(old: str, new: str, text: str = GOOD) -> str:
    assert text.count(old) == 1, f"{old!r} does not stand once in the study"
    return text.replace(old, new)


RANDOM_STUDY = edit(SEEDS, RANDOM)
ONE_SEED = edit(SEEDS, "seeds: [0]\n")


def write(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str, *overrides: str) -> Study:
    return load_study(write(folder, text), overrides)


def enumerate_grid(study: Study) -> list[dict[str, Any]]:
    """Every configuration of a grid, without its seeds."""
    return [configuration for configuration, _ in study.enumerate_seeded()]


def attempt(path: Path, overrides: Iterable[str] = ()) -> Study | InputError:
    try:
        return load_study(path, overrides)
    except InputError as error:
        return error


def refusal(folder: Path, text: str | bytes, overrides: Iterable[str] = ()) -> str:
    """What is said of a wrong study, without the folder: one line that begins with the file."""
    path = folder / "study.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(InputError) as caught:
        load_study(path, overrides)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 1000
    if not overrides:
        assert message.startswith(str(path))
    return message.replace(f"{folder}/", "")
