"""Made-up tables in which a claim of studies/claims.yaml is true, false or undecidable. The numbers are invented.

Each plant turns one effect per seed into tables: above zero where the claim is to hold, below where it is not to.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.claims import Outcome
from analysis.tables import Tables
from tests.analysis.synthetic import SyntheticStudy

EFFECTS: Mapping[Outcome, Sequence[float]] = {
    "supported": (1.0, 1.2, 0.9),
    "not supported": (-1.0, -1.2, -0.9),
    "inconclusive": (1.0, -1.1, 0.3),
}
Plant = Callable[[Sequence[float]], SyntheticStudy]

DIMS = (8, 24, 48, 96)
VAE_ACCURACY = {8: 0.70, 24: 0.87, 48: 0.86, 96: 0.86}  # best at 24
NO_ALPHA = float("nan")


def plant(claim_id: str, outcome: Outcome) -> Tables:
    """Tables of a study in which this claim has this outcome."""
    return PLANTS[claim_id](EFFECTS[outcome]).tables()


def grow(
    effects: Sequence[float],
    measure: Callable[[str, float, int, float], Mapping[str, float]],
    *,
    alphas: Iterable[float] = (0.01,),
    dims: Iterable[int] = DIMS,
    models: Sequence[str] = ("vae", "vsc"),
    **changes: Any,
) -> SyntheticStudy:
    """A study with a seed for each effect; measure: from model, alpha, latent dimension and effect to columns."""
    study = SyntheticStudy()
    for seed, effect in enumerate(effects):
        for dim in dims:
            for model, alpha in (("vae", NO_ALPHA), *(("vsc", alpha) for alpha in alphas)):
                if model in models:
                    study.add(model, dim, seed, alpha, **changes)
                    study.trials[-1] |= measure(model, alpha, dim, effect)
    return study


def bound_with_an_optimum(metric: str) -> Plant:
    """Best at 24; where the effect is negative, the largest is better still."""

    def measure(_model: str, _alpha: float, dim: int, effect: float) -> Mapping[str, float]:
        return {metric: {8: -120.0, 24: -100.0, 200: -100 - 5 * effect}[dim]}

    return lambda effects: grow(effects, measure, dims=(8, 24, 200))


def better_bound(metric: str) -> Plant:
    return lambda effects: grow(
        effects,
        lambda model, alpha, dim, effect: {metric: -100.0 - dim / 100 - (effect if model == "vsc" else 0)},
        alphas=(0.2, 0.5),
    )


def accuracy_beyond(probe: str, *, less: str | None = None, has_dead: bool = False) -> Plant:
    """The VSC is above the VAE by the effect in points; under `less`, by one point whatever the effect."""

    def measure(model: str, _alpha: float, dim: int, effect: float) -> Mapping[str, float]:
        level = VAE_ACCURACY[dim]
        more = effect / 100 + (0.01 if less else 0.0)
        accuracy = {f"{probe}_accuracy": level + (more if model == "vsc" else 0.0)}
        if less:
            accuracy[f"{less}_accuracy"] = level + (0.01 if model == "vsc" else 0.0)
        return accuracy

    return lambda effects: _with_dead(effects, lambda own: grow(own, measure), probe, has_dead=has_dead)


def accuracy_that_grows(probe: str, *, has_dead: bool = False) -> Plant:
    """The VSC gains the effect in points per doubling; the VAE falls a little beyond its best."""

    def measure(model: str, _alpha: float, dim: int, effect: float) -> Mapping[str, float]:
        growing = 0.8 + effect / 100 * np.log2(dim / 24)
        return {f"{probe}_accuracy": growing if model == "vsc" else VAE_ACCURACY[dim]}

    return lambda effects: _with_dead(effects, lambda own: grow(own, measure), probe, has_dead=has_dead)


def better_probe(probe: str, than: str, *, has_dead: bool = False) -> Plant:
    def measure(_model: str, _alpha: float, dim: int, effect: float) -> Mapping[str, float]:
        return {f"{than}_accuracy": VAE_ACCURACY[dim], f"{probe}_accuracy": VAE_ACCURACY[dim] + effect / 100}

    return lambda effects: _with_dead(effects, lambda own: grow(own, measure), than, has_dead=has_dead)


def _with_dead(effects: Sequence[float], make: Plant, probe: str, *, has_dead: bool) -> SyntheticStudy:
    """With has_dead, there is one more seed, in all runs of which a logit died: their accuracy is useless."""
    study = make([*effects, effects[0]] if has_dead else effects)
    for row in study.trials:
        if "report_coded" in probe:
            is_dead = row["seed"] == len(effects)
            row[f"{probe}_dead_logits"] = int(is_dead)
            if is_dead:
                row[f"{probe}_accuracy"] = 0.3
    return study


def level(metric: str, start: float, per_effect: float) -> Plant:
    return lambda effects: grow(effects, lambda *args: {metric: start + per_effect * args[-1]})


def fraction_by_alpha(effects: Sequence[float]) -> SyntheticStudy:
    return grow(
        effects,
        lambda model, alpha, dim, effect: {"code/nonzero_fraction": 0.3 * alpha ** (effect / 4)},
        alphas=(0.01, 0.2, 0.5),
    )


def losses(before: Callable[[str, float], float], after: float) -> Plant:
    """before: from model and effect to the loss until epoch 11, then it is `after`."""

    def make(effects: Sequence[float]) -> SyntheticStudy:
        study = grow(effects, lambda *_: {}, dims=(200,), epochs=40)
        for row, history in zip(study.trials, study.history, strict=True):
            history["step"] = history["epoch"] * 1_875
            loss = before(row["model"], effects[row["seed"]])
            history["test/loss"] = np.where(history["epoch"] <= 11, loss, after)
        return study

    return make


def narrowing_gap(metric: str) -> Plant:
    """From epoch 11 to 40, the VSC gains the effect on the VAE."""

    def make(effects: Sequence[float]) -> SyntheticStudy:
        study = SyntheticStudy()
        for epochs in (11, 40):
            for seed, effect in enumerate(effects):
                for model, alpha, behind in (("vae", NO_ALPHA, 0.0), ("vsc", 0.01, 20.0)):
                    study.add(model, 200, seed, alpha, epochs=epochs)
                    gained = effect if (model, epochs) == ("vsc", 40) else 0.0
                    study.trials[-1][metric] = -100.0 - behind + gained
        return study

    return make


def unit_norm(effects: Sequence[float]) -> SyntheticStudy:
    study = SyntheticStudy()
    for seed, effect in enumerate(effects):
        for scaling in ("minmax", "unit_norm"):
            for model, alpha in (("vae", NO_ALPHA), ("vsc", 0.2)):
                study.add(model, 24, seed, alpha, pixel_scaling=scaling)
                study.trials[-1]["test/reconstruction_error"] = 0.1 + 0.01 * effect * (scaling == "unit_norm")
    return study


def guards(effects: Sequence[float]) -> SyntheticStudy:
    """Eight seeds: without a guard, as many diverge as the effects say."""
    study = SyntheticStudy()
    num_diverged = round(8 * float(np.mean(np.array(effects) > 0)))
    for seed in range(8):
        for link, clamp in (("exp_relu", 0.0), ("exp_relu", 1e-6), ("sigmoid", 0.0)):
            is_lost = (link, clamp) == ("exp_relu", 0.0) and seed < num_diverged
            status = "diverged" if is_lost else "finished"
            study.add("vsc", 24, seed, 0.01, gamma_link=link, gamma_clamp=clamp, status=status)
    return study


def cost(seconds: float, device: str) -> Plant:
    def make(effects: Sequence[float]) -> SyntheticStudy:
        study = grow(effects, lambda *_: {}, dims=(200,), epochs=3)
        for row in study.trials:
            row |= {"train_seconds": 3 * (seconds - effects[row["seed"]]), "device": device}
        return study

    return make


CODED, WRITTEN = "probe/report_coded_mu_5k", "probe/report_written_mu_5k"
LINEAR, MLP, KNN = "probe/linear_mu_all", "probe/mlp_mu_all", "probe/knn_mu_all"
MLP_GAMMA_MU, MLP_Z, KNN_Z = "probe/mlp_gamma_mu_all", "probe/mlp_z_all", "probe/knn_z_all"

PLANTS: Mapping[str, Plant] = {
    "bound-has-an-optimum": bound_with_an_optimum("test/elbo_relaxed"),
    "true-bound-has-an-optimum": bound_with_an_optimum("test/elbo"),
    "vae-has-the-better-bound": better_bound("test/elbo_relaxed"),
    "vae-has-the-better-true-bound": better_bound("test/elbo"),
    "vsc-accuracy-beats-vae": accuracy_beyond(CODED),
    "vsc-accuracy-beats-vae-without-dead-logits": accuracy_beyond(CODED, has_dead=True),
    "vsc-accuracy-beats-vae-as-written": accuracy_beyond(WRITTEN),
    "vsc-accuracy-beats-vae-linear": accuracy_beyond(LINEAR),
    "vsc-accuracy-beats-vae-mlp": accuracy_beyond(MLP),
    "vsc-accuracy-beats-vae-mlp-gamma-mu": accuracy_beyond(MLP_GAMMA_MU),
    "vsc-accuracy-beats-vae-mlp-z": accuracy_beyond(MLP_Z),
    "vsc-accuracy-beats-vae-knn": accuracy_beyond(KNN),
    "vsc-accuracy-beats-vae-knn-z": accuracy_beyond(KNN_Z),
    "vsc-advantage-is-the-probes": accuracy_beyond(CODED, less="probe/linear_mu_5k"),
    "vsc-accuracy-grows": accuracy_that_grows(CODED),
    "vsc-accuracy-grows-without-dead-logits": accuracy_that_grows(CODED, has_dead=True),
    "vsc-accuracy-grows-linear": accuracy_that_grows(LINEAR),
    "vsc-accuracy-grows-mlp": accuracy_that_grows(MLP),
    "vsc-accuracy-grows-mlp-gamma-mu": accuracy_that_grows(MLP_GAMMA_MU),
    "vsc-accuracy-grows-mlp-z": accuracy_that_grows(MLP_Z),
    "vsc-accuracy-grows-knn": accuracy_that_grows(KNN),
    "sparsity-follows-alpha": fraction_by_alpha,
    "codes-are-sparse": level("code/nonzero_fraction", 0.5, -0.1),
    "twenty-thousand-iterations-are-too-few": losses(lambda _, effect: 101.0 + effect, after=100.0),
    "gap-narrows-with-training": narrowing_gap("test/elbo_relaxed"),
    "true-gap-narrows-with-training": narrowing_gap("test/elbo"),
    "higher-capacity-helps": better_probe(MLP, LINEAR),
    "higher-capacity-beats-the-reports-probe": better_probe("probe/mlp_mu_5k", CODED, has_dead=True),
    "unit-norm-reconstructs-worse": unit_norm,
    "unguarded-gamma-diverges": guards,
    "epoch-takes-a-minute-on-a-cpu": cost(60.0, "cpu"),
    "epoch-takes-seconds-on-a-gpu": cost(8.0, "NVIDIA TITAN Xp"),
    "largest-latent-keeps-the-class": level("edit/class_kept", 0.5, 0.1),
    "largest-latent-changes-few-pixels": level("edit/changed_pixels", 0.5, -0.1),
    "largest-latent-changes-more-than-another": level("edit/changed_pixels_beyond_other", 0.0, 0.1),
}
