"""Made-up tables in which a claim of studies/claims.yaml has each of its outcomes. The numbers are invented.

Each plant turns two effects per seed into tables, one for some parts of the claim and one for the others: above zero
where a part is to hold, below where it is not to.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import cycle, islice
from typing import Any

import numpy as np

from analysis.claims import Outcome
from analysis.tables import Tables
from tests.analysis.synthetic import SyntheticStudy

Effects = tuple[Sequence[float], Sequence[float]]
Plant = Callable[[Effects], SyntheticStudy]
Measure = Callable[[str, float, int, float], Mapping[str, float]]
InSecond = Callable[[str, float, int], bool]

HOLDS = (1.0, 1.02, 0.98, 1.01, 0.99)
FAILS = tuple(-effect for effect in HOLDS)
UNSURE = (1.0, -1.1, 0.3, -0.9, 0.8)
EFFECTS: Mapping[Outcome, Effects] = {
    "supported": (HOLDS, HOLDS),
    "refuted": (FAILS, FAILS),
    "mixed": (HOLDS, FAILS),
    "undecided": (UNSURE, UNSURE),
}
NEVER_MIXED = ("vsc-accuracy-beats-vae", "relaxed-gates-cost-the-bound")  # at 200 alone, besides a premise
NUM_TRIALS = 12  # where a share of them is asked for

DIMS = (8, 24, 48, 200)
NO_ALPHA = float("nan")


@cache
def plant(claim_id: str, outcome: Outcome) -> Tables:
    """Tables of a study in which this claim has this outcome; the same at every call, so do not change them."""
    return PLANTS[claim_id](EFFECTS[outcome]).tables()


def at_large(_model: str, _alpha: float, dim: int) -> bool:
    return dim > 100


def of_vsc(model: str, _alpha: float, _dim: int) -> bool:
    return model == "vsc"


def of_larger_alpha(_model: str, alpha: float, _dim: int) -> bool:
    return alpha > 0.05


def of_large_alpha(_model: str, alpha: float, _dim: int) -> bool:
    return alpha > 0.1


def grow(
    effects: Effects,
    measure: Measure,
    *,
    in_second: InSecond = at_large,
    alphas: Iterable[float] = (0.01,),
    dims: Iterable[int] = DIMS,
    models: Sequence[str] = ("vae", "vsc"),
    **changes: Any,
) -> SyntheticStudy:
    """A study with a seed for each effect; measure: from model, alpha, latent dimension and effect to columns.

    in_second: whether the second of the effects is a trial's, not the first.
    """
    study = SyntheticStudy()
    for seed, either in enumerate(zip(*effects, strict=True)):
        for dim in dims:
            for model, alpha in (("vae", NO_ALPHA), *(("vsc", alpha) for alpha in alphas)):
                if model in models:
                    study.add(model, dim, seed, alpha, **changes)
                    study.trials[-1] |= measure(model, alpha, dim, either[in_second(model, alpha, dim)])
    return study


def bound_with_an_optimum(metric: str) -> Plant:
    """Best at 24 where the effect is positive, and worst where it is negative."""

    def measure(_model: str, _alpha: float, dim: int, effect: float) -> Mapping[str, float]:
        return {metric: -100.0 - effect * {8: 10, 24: 0, 200: 5}[dim]}

    return lambda effects: grow(effects, measure, in_second=of_vsc, dims=(8, 24, 200), alphas=(0.01, 0.2, 0.5))


def better_bound(metric: str) -> Plant:
    return lambda effects: grow(
        effects,
        lambda model, alpha, dim, effect: {metric: -100.0 - dim / 100 - (effect if model == "vsc" else 0)},
        alphas=(0.01, 0.2, 0.5),
    )


def accuracy_beyond(probe: str, *, less: str | None = None, has_dead: bool = False) -> Plant:
    """The VSC is above the VAE by the effect in points; under `less`, by one point whatever the effect."""

    def measure(model: str, _alpha: float, dim: int, effect: float) -> Mapping[str, float]:
        level = (0.70 if dim < 24 else 0.86) + (effect - round(effect)) / 100  # the seeds of the VAE differ, too
        more = effect / 100 + (0.01 if less else 0.0)
        accuracy = {f"{probe}_accuracy": level + (more if model == "vsc" else 0.0)}
        if less:
            accuracy[f"{less}_accuracy"] = level + (0.01 if model == "vsc" else 0.0)
        return accuracy

    return lambda effects: _with_dead(effects, lambda own: grow(own, measure), probe, has_dead=has_dead)


def accuracy_that_grows(probe: str, *, has_dead: bool = False) -> Plant:
    """From 24 to 200, the VSC gains half a point and the first effect; the VAE half a point less the second."""

    def measure(model: str, _alpha: float, dim: int, effect: float) -> Mapping[str, float]:
        gained = 0.005 + effect / 100 if model == "vsc" else 0.005 - effect / 100
        return {f"{probe}_accuracy": 0.8 + (gained if dim == 200 else 0.0)}

    def make(own: Effects) -> SyntheticStudy:
        return grow(own, measure, in_second=lambda model, *_: model == "vae")

    return lambda effects: _with_dead(effects, make, probe, has_dead=has_dead)


def better_probe(probe: str, than: str, *, has_dead: bool = False) -> Plant:
    def measure(_model: str, _alpha: float, _dim: int, effect: float) -> Mapping[str, float]:
        return {f"{than}_accuracy": 0.86, f"{probe}_accuracy": 0.86 + effect / 100}

    def make(own: Effects) -> SyntheticStudy:
        return grow(own, measure, alphas=(0.01, 0.5))

    return lambda effects: _with_dead(effects, make, than, has_dead=has_dead)


def _with_dead(effects: Effects, make: Plant, probe: str, *, has_dead: bool) -> SyntheticStudy:
    """With has_dead, there is one more seed, in all runs of which a logit died: their accuracy is useless."""
    first, second = effects
    num = len(first)
    study = make(([*first, first[0]], [*second, second[0]]) if has_dead else effects)
    for row in study.trials:
        if "report_coded" in probe:
            is_dead = row["seed"] == num
            row[f"{probe}_dead_logits"] = int(is_dead)
            if is_dead:
                row[f"{probe}_accuracy"] = 0.3
    return study


def level(metric: str, start: float, per_effect: float, **kwargs: Any) -> Plant:
    return lambda effects: grow(effects, lambda *args: {metric: start + per_effect * args[-1]}, **kwargs)


def fraction_by_alpha(effects: Effects) -> SyntheticStudy:
    return grow(
        effects,
        lambda model, alpha, dim, effect: {"code/nonzero_fraction": 0.3 * alpha ** (effect / 4)},
        alphas=(0.01, 0.2, 0.5),
    )


def always_on_by_alpha(effects: Effects) -> SyntheticStudy:
    """The smallest alpha has fewer latents that are always on, where the effect is positive."""
    return grow(
        effects,
        lambda model, alpha, dim, effect: {"code/always_on_fraction": 0.5 - 0.1 * effect * (alpha < 0.1)},
        alphas=(0.01, 0.2, 0.5),
    )


def collapsed(effects: Effects) -> SyntheticStudy:
    """Where the effect is positive, five latents carry information, else fifteen."""
    first, second = (list(islice(cycle(own), NUM_TRIALS)) for own in effects)
    return grow(
        (first, second), lambda model, alpha, dim, effect: {"code/num_informative": 5.0 if effect > 0 else 15.0}
    )


def losses(before: Callable[[str, float], float], after: float, metric: str = "test/loss") -> Plant:
    """before: from model and effect to the loss until epoch 11, then it is `after`."""

    def make(effects: Effects) -> SyntheticStudy:
        study = grow(effects, lambda *_: {}, dims=(200,), epochs=40)
        for row, history in zip(study.trials, study.history, strict=True):
            history["step"] = history["epoch"] * 1_875
            own = effects[of_vsc(row["model"], 0, 0)]
            loss = before(row["model"], own[row["seed"]])
            history[metric] = np.where(history["epoch"] <= 11, loss, after)
        return study

    return make


def gained_bound(effects: Effects) -> SyntheticStudy:
    """From epoch 11 to 40, the bound gains a nat and the effect."""
    study = SyntheticStudy()
    for epochs in (11, 40):
        of_length = grow(
            effects,
            lambda model, alpha, dim, effect, epochs=epochs: {"test/elbo": -100.0 + (epochs == 40) * (1 + effect)},
            in_second=of_vsc,
            dims=(200,),
            alphas=(0.01, 0.5),
            epochs=epochs,
        )
        study.trials += [row | {"trial_id": f"{row['trial_id']}-{epochs}"} for row in of_length.trials]
        study.history += [own.assign(trial_id=own["trial_id"] + f"-{epochs}") for own in of_length.history]
    return study


def narrowing_gap(metric: str) -> Plant:
    """From epoch 11 to 40, the VSC gains the effect on the VAE."""

    def make(effects: Effects) -> SyntheticStudy:
        study = SyntheticStudy()
        for epochs in (11, 40):
            for seed, (first, second) in enumerate(zip(*effects, strict=True)):
                for model, alpha, effect in (("vae", NO_ALPHA, 0.0), ("vsc", 0.01, first), ("vsc", 0.5, second)):
                    study.add(model, 200, seed, alpha, epochs=epochs)
                    gained = effect if (model, epochs) == ("vsc", 40) else 0.0
                    study.trials[-1][metric] = -100.0 - 20 * (model == "vsc") + gained
        return study

    return make


def changed_setting(
    metric: str, setting: str, values: tuple[str, str], level_of: Callable[[float], float], **kwargs: Any
) -> Plant:
    """The metric with the first of a setting's two values exceeds that with the second by level_of(effect)."""

    def make(effects: Effects) -> SyntheticStudy:
        study = SyntheticStudy()
        for value in values:
            own = grow(
                effects,
                lambda model, alpha, dim, effect, value=value: {
                    metric: 100.0 + (level_of(effect) if value == values[0] else 0.0)
                },
                **{"dims": (24,), setting: value} | kwargs,
            )
            study.trials += [row | {"trial_id": f"{row['trial_id']}-{value}"} for row in own.trials]
            study.history += [history.assign(trial_id=history["trial_id"] + f"-{value}") for history in own.history]
        return study

    return make


def changed_estimator(metric: str, threshold: float, link: str) -> Plant:
    return changed_setting(
        metric,
        "estimator",
        ("disarm", "relaxed"),
        lambda effect: threshold + effect,
        models=("vsc",),
        dims=(24, 200),
        gamma_link=link,
    )


unit_norm = changed_setting(
    "test/reconstruction_error",
    "pixel_scaling",
    ("unit_norm", "minmax"),
    lambda effect: 0.01 * effect,
    in_second=of_vsc,
    alphas=(0.2,),
)


def guards(effects: Effects) -> SyntheticStudy:
    """Where the effect is positive trials go as claimed; the second effect is the sigmoid's."""
    first, second = (list(islice(cycle(own), NUM_TRIALS)) for own in effects)
    study = SyntheticStudy()
    for seed in range(NUM_TRIALS):
        for link, clamp, effect in (("exp_relu", 0.0, first), ("exp_relu", 1e-6, first), ("sigmoid", 0.0, second)):
            as_claimed, otherwise = ("diverged", "finished")[:: 1 if (link, clamp) == ("exp_relu", 0.0) else -1]
            status = as_claimed if effect[seed] > 0 else otherwise
            study.add("vsc", 24, seed, 0.01, gamma_link=link, gamma_clamp=clamp, status=status)
    return study


def logits(effects: Effects) -> SyntheticStudy:
    """Where the effect is positive the loss stays finite; the second effect is the sigmoid's."""
    study = SyntheticStudy()
    for link, own in zip(("exp_relu", "sigmoid"), effects, strict=True):
        for seed, effect in enumerate(islice(cycle(own), NUM_TRIALS)):
            status = "finished" if effect > 0 else "diverged"
            study.add("vsc", 24, seed, 0.01, gamma_link=link, gamma_clamp=1e-6, kl_from="logits", status=status)
    return study


def cost(seconds: float, device: str) -> Plant:
    def make(effects: Effects) -> SyntheticStudy:
        study = grow(effects, lambda *_: {}, dims=(200,), epochs=3)
        for row in study.trials:
            effect = effects[of_vsc(row["model"], 0, 0)][row["seed"]]
            row |= {"train_seconds": 3 * (seconds - effect), "device": device}
        return study

    return make


def edit(metric: str, start: float, per_effect: float) -> Plant:
    """At 200 latent dimensions alone, with two alphas."""
    return level(metric, start, per_effect, dims=(200,), models=("vsc",), alphas=(0.01, 0.2), in_second=of_large_alpha)


def disentangled(score: str, estimator: str = "relaxed") -> Plant:
    """The VSC's score exceeds the VAE's by a tenth of the effect, of the way from a floor of .2 to a ceiling of .7.

    Beside them stand models that the claim is not about: a beta-VAE, and VSCs with other gates, which are perfect.
    """

    def measure(model: str, alpha: float, dim: int, effect: float) -> Mapping[str, float]:
        value = 0.4 + (0.05 * effect if model == "vsc" else 0.0)
        scores = {score: value, f"{score}_floor": 0.2, f"{score}_ceiling": 0.7}
        return {f"disentanglement/{name}": one for name, one in scores.items()} | {
            "code/nonzero_fraction": 0.1 + 0.01 * effect
        }

    def make(effects: Effects) -> SyntheticStudy:
        study = SyntheticStudy()
        other = "disarm" if estimator == "relaxed" else "relaxed"
        for name, changes in (
            ("another-gate", {"models": ("vsc",), "estimator": other}),
            ("beta-vae", {"models": ("vae",), "beta": 4.0}),
            ("", {"estimator": estimator}),
        ):
            kind: dict[str, Any] = {"dims": (100, 10), "alphas": (0.01, 0.1), "in_second": of_larger_alpha} | changes
            own = grow(effects, measure, **kind)
            if name:
                for row in own.trials:
                    row[f"disentanglement/{score}"] = 0.7
            study.trials += [row | {"trial_id": f"{row['trial_id']}-{name}"} for row in own.trials]
            study.history += [history.assign(trial_id=history["trial_id"] + f"-{name}") for history in own.history]
        return study

    return make


CODED, WRITTEN = "probe/report_coded_mu_5k", "probe/report_written_mu_5k"
LINEAR, MLP, KNN = "probe/linear_mu_all", "probe/mlp_mu_all", "probe/knn_mu_all"
MLP_GAMMA_MU, MLP_Z, KNN_Z = "probe/mlp_gamma_mu_all", "probe/mlp_z_all", "probe/knn_z_all"

PLANTS: Mapping[str, Plant] = {
    "vae-has-the-better-true-bound": better_bound("test/elbo"),
    "vae-has-the-better-true-bound-everywhere": better_bound("test/elbo"),
    "vae-has-the-better-bound": better_bound("test/elbo_relaxed"),
    "true-bound-has-an-optimum": bound_with_an_optimum("test/elbo"),
    "bound-has-an-optimum": bound_with_an_optimum("test/elbo_relaxed"),
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
    "vsc-accuracy-grows-as-written": accuracy_that_grows(WRITTEN),
    "vsc-accuracy-grows-linear": accuracy_that_grows(LINEAR),
    "vsc-accuracy-grows-mlp": accuracy_that_grows(MLP),
    "vsc-accuracy-grows-mlp-gamma-mu": accuracy_that_grows(MLP_GAMMA_MU),
    "vsc-accuracy-grows-mlp-z": accuracy_that_grows(MLP_Z),
    "vsc-accuracy-grows-knn": accuracy_that_grows(KNN),
    "codes-are-sparse": level("code/always_on_fraction", 0.5, -0.1, alphas=(0.01, 0.2)),
    "gates-tell-about-the-image": level("code/gate_information", 1.0, 0.5),
    "few-latents-are-non-zero": level("code/nonzero_fraction", 0.5, -0.1),
    "sparsity-follows-alpha": always_on_by_alpha,
    "non-zero-fraction-follows-alpha": fraction_by_alpha,
    "small-alpha-collapses": collapsed,
    "twenty-thousand-iterations-are-too-few": gained_bound,
    "loss-still-falls": losses(lambda _, effect: 101.0 + effect, after=100.0),
    "trained-loss-still-falls": losses(lambda _, effect: 101.0 + effect, after=100.0, metric="train/loss"),
    "true-gap-narrows-with-training": narrowing_gap("test/elbo"),
    "gap-narrows-with-training": narrowing_gap("test/elbo_relaxed"),
    "higher-capacity-helps": better_probe(MLP, LINEAR),
    "higher-capacity-beats-the-reports-probe": better_probe("probe/mlp_mu_5k", CODED, has_dead=True),
    "unit-norm-reconstructs-worse": unit_norm,
    "unguarded-gamma-diverges": guards,
    "initialisation-makes-no-difference": changed_setting(
        "test/elbo", "initialisation", ("kaiming", "xavier"), lambda effect: 1 - effect, in_second=of_vsc
    ),
    "sharpness-schedule-makes-no-difference": changed_setting(
        "test/elbo",
        "sharpness_schedule",
        ("per_step", "per_epoch"),
        lambda effect: 1 - effect,
        models=("vsc",),
        alphas=(0.01, 0.2),
        in_second=of_large_alpha,
    ),
    "epoch-takes-a-minute-on-a-cpu": cost(60.0, "cpu"),
    "epoch-takes-seconds-on-a-gpu": cost(8.0, "NVIDIA TITAN Xp"),
    "largest-latent-changes-the-shape-more-than-another": edit("edit/class_kept_beyond_other", 0.0, -0.1),
    "largest-latent-changes-the-shape": edit("edit/class_kept", 0.5, -0.1),
    "largest-latent-changes-few-pixels": edit("edit/changed_pixels", 0.5, -0.1),
    "largest-latent-changes-more-than-another": edit("edit/changed_pixels_beyond_other", 0.0, 0.1),
    "kl-from-logits-needs-no-clamp": logits,
    "relaxed-gates-cost-the-bound": changed_estimator("test/elbo", 15.0, "exp_relu"),
    "relaxed-gates-cost-the-bound-sigmoid": changed_estimator("test/elbo", 15.0, "sigmoid"),
    "unbiased-gates-tell-more": changed_estimator("code/gate_information", 0.0, "sigmoid"),
    "more-latents-are-informative": changed_estimator("code/num_informative", 10.0, "sigmoid"),
    "informative-latents-are-off-at-times": level(
        "code/always_on_fraction", 0.05, -0.04, models=("vsc",), estimator="disarm", gamma_link="sigmoid"
    ),
    "sparsity-disentangles-sprites": disentangled("factor_vae"),
    "sparsity-disentangles-sprites-disarm": disentangled("factor_vae", "disarm"),
    "sparsity-disentangles-sprites-mig": disentangled("mig"),
    "sparsity-disentangles-sprites-dci": disentangled("dci_disentanglement"),
    "sparsity-disentangles-sprites-infom": disentangled("info_modularity"),
}
