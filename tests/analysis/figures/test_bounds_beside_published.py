"""Bounds on binary pixels: their means, and what a paper prints, beside models of its shape alone."""

from typing import Any

import pytest

from analysis.figures.bounds_beside_published import compute, note, plot
from analysis.tables.series import NothingToDrawError
from tests.analysis.axes import make_axes
from tests.analysis.synthetic import SyntheticStudy

AS_PUBLISHED: dict[str, Any] = {"hidden": "[200, 200]", "activation": "tanh", "binarisation": "dynamic"}


def read_off(latent_dim: int = 50, dataset: str = "mnist", **changes: Any) -> SyntheticStudy:
    """Two seeds of a VAE after 3 and 10 epochs, whose ELBO is -100 and -98 after 3, and 10 more after 10."""
    study = SyntheticStudy(dataset)
    for epochs, gain in ((3, 0.0), (10, 10.0)):
        for seed in (0, 1):
            study.add("vae", latent_dim, seed, epochs=epochs, **AS_PUBLISHED | changes)
            study.trials[-1] |= {"test/elbo": gain + 2 * seed - 100, "test/iw_bound": gain + 2 * seed - 97}
    return study


def test_both_bounds_are_averaged_over_seeds_at_each_length() -> None:
    frame = compute(read_off().tables())
    assert frame["split"].tolist() == ["ELBO"] * 2 + ["importance-weighted bound"] * 2
    assert frame["epochs"].tolist() == [3, 10, 3, 10]
    assert frame["mean"].tolist() == [-99, -89, -96, -86]
    assert set(frame["n"]) == {2}


def test_what_a_paper_prints_is_a_level_beside_a_model_of_its_shape() -> None:
    frame = compute(read_off().tables())
    assert set(frame["published"]) == {-86.76}
    assert set(frame["published_epochs"]) == {3280}
    ax = make_axes()[0, 0]
    plot(frame, ax)
    assert [tuple(line.get_ydata()) for line in ax.lines] == [(-99, -89), (-96, -86), (-86.76, -86.76)]
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[:2] == ["VAE (2 seeds), ELBO", "VAE (2 seeds), importance-weighted bound"]
    assert texts[2].endswith("86.76 after 3,280 epochs\n(Burda et al., 2016, Table 1)")
    assert "short runs compare with their own curve alone" in note(frame)
    assert ax.get_ylabel() == "bound on binary test images\n(nats per image, higher is better)"


@pytest.mark.parametrize(
    "changes",
    [
        {"latent_dim": 40},
        {"dataset": "digits"},
        {"activation": "relu"},
        {"hidden": "[400]"},
        {"binarisation": "static"},
    ],
)
def test_no_level_stands_beside_another_model(changes: dict[str, Any]) -> None:
    frame = compute(read_off(**changes).tables())
    assert frame["published"].isna().all()
    ax = make_axes()[0, 0]
    plot(frame, ax)
    assert len(ax.lines) == 2
    assert "paper" not in note(frame)


def test_grey_pixels_and_tables_that_do_not_know_of_binary_ones_have_no_such_figure(
    quickstart: SyntheticStudy,
) -> None:
    for study in (quickstart, read_off(binarisation="none")):
        with pytest.raises(NothingToDrawError, match="pixels are grey"):
            compute(study.tables())
