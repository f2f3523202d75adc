import numpy as np
import pytest
import torch

from models.build import build_model
from models.settings import TrialSettings
from models.trained_model import TrainedModel

SHAPE = (1, 4, 4)
IMAGES = np.random.default_rng(0).integers(0, 256, (60, *SHAPE), dtype=np.uint8)


def make(model: str = "vsc", **changes: object) -> TrainedModel:
    spike = {"alpha": 0.3} if model == "vsc" else {}
    settings = TrialSettings(model=model, latent_dim=3, hidden=(8,), **spike | changes)  # type: ignore[arg-type]
    return TrainedModel(settings, SHAPE, 0, build_model(settings, SHAPE))


@pytest.mark.parametrize("model", ["vae", "vsc"])
def test_codes_pictures_samples_and_bounds_have_their_shapes_and_no_gradients(model: str) -> None:
    trained = make(model)
    codes = trained.encode(IMAGES)
    results = [codes, trained.decode(codes), trained.sample(7), trained.log_prob(IMAGES, num_samples=2)]
    assert [tuple(result.shape) for result in results] == [(60, 3), (60, *SHAPE), (7, *SHAPE), (60,)]
    assert not any(result.requires_grad for result in results)
    assert ((results[1] >= 0) & (results[1] <= 1)).all()


def test_a_code_is_the_mean_of_the_posterior_of_the_model_itself() -> None:
    trained = make()
    expected = trained.module.posterior(torch.from_numpy(IMAGES) / 255).mean
    torch.testing.assert_close(trained.encode(IMAGES), expected.detach())
    assert torch.equal(trained.encode(torch.from_numpy(IMAGES)), trained.encode(IMAGES))


def test_samples_are_decoded_from_the_prior_and_depend_on_the_seed() -> None:
    trained = make(alpha=1e-6)  # so that every code is zero
    torch.testing.assert_close(trained.sample(2), trained.decode(torch.zeros(2, 3)))
    other = make()
    assert torch.equal(other.sample(5, seed=1), other.sample(5, seed=1))
    assert not torch.equal(other.sample(5, seed=1), other.sample(5, seed=2))


def test_the_bound_rises_with_the_number_of_samples() -> None:
    trained = make("vae")
    few, many = (float(trained.log_prob(IMAGES, num_samples=k).mean()) for k in (1, 200))
    assert few < many < 0


def test_images_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"images of float32 in the shape \(60, 1, 4, 4\); give bytes \(uint8\)"):
        make().encode(torch.from_numpy(IMAGES).float())
    with pytest.raises(
        ValueError, match=r"in the shape \(60, 4, 4\); give bytes \(uint8\) in the shape \(N, 1, 4, 4\)"
    ):
        make().encode(IMAGES[:, 0])
    with pytest.raises(ValueError, match=r"images of type list; give bytes \(uint8\) in the shape \(N, 1, 4, 4\)"):
        make().encode(IMAGES.tolist())  # type: ignore[arg-type]


def test_codes_may_be_an_array_or_of_another_precision() -> None:
    trained = make()
    codes = trained.encode(IMAGES)
    frozen = codes.numpy().copy()
    frozen.flags.writeable = False  # torch warns of such
    for given in (codes.numpy(), frozen, codes.double(), codes.double().numpy()):
        assert torch.equal(trained.decode(given), trained.decode(codes))


def test_codes_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"codes of float32 in the shape \(2, 4\); .*: latent_dim is 3"):
        make().decode(torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"shape \(\); .*: latent_dim is 3"):
        make().decode(torch.zeros(()))
    with pytest.raises(ValueError, match=r"codes of type str; give numbers in the shape \(..., 3\)"):
        make().decode("abc")  # type: ignore[arg-type]


def test_counts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="num: -1 samples; give at least 0"):
        make().sample(-1)
    with pytest.raises(ValueError, match="num_samples: 0; give at least 1"):
        make().log_prob(IMAGES, num_samples=0)
    assert make().sample(0).shape == (0, *SHAPE)
