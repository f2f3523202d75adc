"""Marks of figures on a page say their values when they are pointed at."""

import html
import re
from pathlib import Path

from analysis.figures.draw import draw_figures
from tests.analysis.synthetic import SyntheticStudy


def read_marks(study: SyntheticStudy, figure: str, folder: Path) -> tuple[list[str], int]:
    """What the marks of a figure say, in their order, and how many marks there are."""
    draw_figures(study.tables(), folder, only=[figure], for_page=True)
    text = (folder / f"{figure}.svg").read_text()
    told = re.findall(r"<use [^>]*><title>(.*?)</title></use>", text, re.DOTALL)
    return [html.unescape(one) for one in told], len(re.findall(r"<use ", text))


def test_each_point_and_seed_says_its_values_by_the_names_of_the_axes(tmp_path: Path) -> None:
    study = SyntheticStudy()
    for latent_dim, elbo in ((8, -111.0), (32, -105.5)):
        for seed in (0, 1):
            study.add("vae", latent_dim, seed)
            study.trials[-1]["test/elbo"] = elbo + seed
    told, num = read_marks(study, "elbo_by_latent_dim", tmp_path)
    dims, bound, minus = "latent dimensions", "test ELBO", "\N{MINUS SIGN}"
    assert told == [
        f"VAE (2 seeds)\n{dims}: 8\n{bound}: {minus}110.5",
        f"VAE (2 seeds)\n{dims}: 32\n{bound}: {minus}105",
        *(f"{dims}: {dim}\n{bound}: {minus}{at}" for dim, at in ((8, 111), (8, 110), (32, 105.5), (32, 104.5))),
    ]
    assert num > len(told)  # ticks are marks, too, and say nothing


def test_where_ticks_are_words_they_are_said(tmp_path: Path) -> None:
    study = SyntheticStudy()
    for initialisation, elbo in (("kaiming", -110.0), ("xavier", -108.0)):
        study.add("vae", 8, 0, initialisation=initialisation)
        study.trials[-1]["test/elbo"] = elbo
    told, _ = read_marks(study, "compared_settings", tmp_path)
    assert "test ELBO less the default's: 2\nVAE Xavier" in told
