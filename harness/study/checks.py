"""Refuse combinations of sampler, scheduler, metrics and confirmation that do not work, and name some that do."""

import math
from typing import Any

from analysis.wording import OF_BOUNDS, OF_IMAGES, find_near
from harness.metrics import COST_METRICS, TRAIN_METRICS, VALIDATION_METRICS
from harness.study.constraints import Constraint
from harness.study.domains import Finite, parse_domain
from harness.study.fields import StudyFields, list_models
from harness.study.sections import ADAPTIVE_SAMPLERS, MIN_POPULATION, SCHEDULER_FIELDS, Scheduler, check_seeds
from models.choices import MODELS, OF_DISCRIMINATORS
from models.illegal_settings import UNLIKE_BINARY, UNLIKE_DISCRIMINATORS, refuse_binarisation, refuse_discriminator
from models.setting import SETTINGS, belongs

OF_DISTORTION = ("/loss", "/elbo", "/distortion")
OF_THE_LOSS = (
    *("beta", "sharpness", "sharpness_schedule", "capacity", "capacity_steps", "tc_weight"),
    *("selector", "pseudo_gammas", "sparsity_of"),
)
_DEFAULT_EPOCHS = parse_domain("epochs", SETTINGS["epochs"].default)


def check_combination(study: StudyFields) -> None:
    """Refuse a study whose sections do not work together.

    Raises:
        ValueError: one clause that begins with the field and names what would work.
    """
    _check_search(study)
    _check_objectives(study)
    _check_constraints(study)
    _check_stop(study)
    _check_sampler(study)
    _check_scheduler(study)
    _check_confirm(study)
    _check_clamps(study)
    _check_randomness(study)
    _check_binarisation(study)
    _check_discriminators(study)
    _check_likelihood(study)


def _check_search(study: StudyFields) -> None:
    search, sampler = study.search, study.search.sampler
    if sampler == "grid" and search.num_trials is not None:
        raise ValueError("search.num_trials: a grid runs all of its points; remove it, or sample at random")
    if sampler != "grid" and search.num_trials is None:
        raise ValueError(f"search.num_trials: missing; say how many configurations {sampler} draws")
    if sampler in ADAPTIVE_SAMPLERS and len(study.seeds) > 1:
        raise ValueError(
            f"seeds: {sampler} trains each configuration once; give one seed, and train the best ones again over "
            "several with confirm: {seeds: [0, 1, 2]}"
        )


def _check_objectives(study: StudyFields) -> None:
    available = [*study.list_metrics(), *COST_METRICS]
    steering = (*TRAIN_METRICS, *VALIDATION_METRICS, *COST_METRICS)
    for metric in study.objectives:
        if metric not in available:
            legal = steering if study.is_adaptive else available
            hint = f"; did you mean {near}?" if (near := find_near(metric, legal)) else ""
            raise ValueError(f"search.metric: no evaluation yields {metric!r}; use one of {', '.join(legal)}{hint}")
        if metric.startswith("val/") and not (study.is_adaptive or study.can_hold_out):
            raise ValueError(f"search.metric: {metric} needs validation images; add num_validation under defaults")
        if study.is_adaptive and metric not in steering:
            raise ValueError(
                f"search.metric: {metric} would choose hyperparameters on the test set or only once a trial "
                "has ended; use val/elbo"
            )
    _check_comparable(study)
    sampler, several = study.search.sampler, len(study.objectives) > 1
    if len(set(study.objectives)) < len(study.objectives):
        raise ValueError(f"search.metric: a metric stands twice in {list(study.objectives)}; remove one")
    if several and sampler not in ("nsga2", "tpe", "gp"):
        raise ValueError(f"search.metric: {sampler} steers by one metric; give one, or use gp, nsga2 or tpe")
    if sampler == "nsga2" and not several:
        raise ValueError(
            "search.metric: nsga2 weighs several metrics against each other; give a list such as "
            "[val/rate, val/distortion], or use tpe"
        )
    if study.search.mode is not None and (several or study.search.mode != study.mode):
        right = "each metric knows its own; remove mode" if several else f"use mode: {study.mode}"
        raise ValueError(f"search.mode: {study.metric} is to be {study.mode}imised; {right}")


def _check_constraints(study: StudyFields) -> None:
    constraints, sampler = study.search.constraints, study.search.sampler
    if constraints and sampler not in ("tpe", "gp", "nsga2"):
        raise ValueError(f"search.constraints: {sampler} pays them no heed; remove them, or use tpe, gp or nsga2")
    if len(set(constraints)) < len(constraints):
        raise ValueError("search.constraints: one stands twice; remove it")
    # No losses: what they mean differs between trials.
    known = [m for m in (*TRAIN_METRICS, *VALIDATION_METRICS, *COST_METRICS) if not m.endswith("/loss")]
    for i, constraint in enumerate(constraints):
        if constraint.metric not in known:
            raise ValueError(
                f"search.constraints[{i}]: {constraint.metric} is none that a search may steer by, without a look at "
                f"the test images; use one of {', '.join(known)}"
            )
        for other in constraints[:i]:
            if other.metric == constraint.metric and _exclude_each_other(other, constraint):
                raise ValueError(
                    f"search.constraints[{i}]: no trial keeps to both {other} and {constraint}; change a bound, or "
                    "remove one"
                )


def _exclude_each_other(one: Constraint, other: Constraint) -> bool:
    """Whether no value keeps to both of two bounds on one metric: the lower one exceeds the upper one."""
    return one.sign != other.sign and one.measure_excess(other.bound) > 0


def _check_stop(study: StudyFields) -> None:
    search, sampler = study.search, study.search.sampler
    is_list = sampler not in ADAPTIVE_SAMPLERS
    if is_list and search.stop is not None:
        raise ValueError(
            f"search.stop: {sampler} lists all of its trials beforehand; remove it, or use tpe, gp, cmaes or nsga2"
        )
    if is_list and search.at_once is not None:
        raise ValueError(
            f"search.at_once: {sampler} lists the same trials whatever runs at once; remove it, or use tpe, gp, cmaes "
            "or nsga2"
        )
    if search.stop is not None and search.stop.gain is not None and len(study.objectives) > 1:
        raise ValueError("search.stop.gain: several metrics have no one best; remove it, or search by one metric")
    if search.at_once is not None and study.scheduler.name != "fifo":
        raise ValueError(
            f"search.at_once: which trials {study.scheduler.name} stops depends on which run at once, and so would the "
            "proposals; remove it, or use fifo"
        )


def _check_comparable(study: StudyFields) -> None:
    """Refuse a metric that means something else in other trials of the study.

    A loss does if trials differ in its definition, beta * rate + distortion at the trial's sharpness; whatever holds a
    distortion, if their images differ, as grey pixels have an entropy that no distortion goes below.
    """
    if not study.is_adaptive:
        return
    unlike_bounds = [name for name in OF_BOUNDS if name in SETTINGS and len(_list_values(study, name)) > 1]
    for metric in study.objectives:
        if unlike_bounds and metric.endswith(OF_DISTORTION):
            changes = "the images" if unlike_bounds[0] in OF_IMAGES else "what a bound is of"
            raise ValueError(
                f"search.metric: {metric} is not comparable between trials that differ in {unlike_bounds[0]}, which "
                f"changes {changes}; give one value of it, or compare them in a grid, without scheduler and confirm"
            )
    perturbed = study.scheduler.perturb if study.scheduler.name == "pbt" else ()
    searched = {name for sub in study.sub_spaces() for name, domain in sub.items() if domain.is_searched}
    unlike = [name for name in OF_THE_LOSS if name in searched or name in perturbed]
    if len({MODELS[model].objective for sub in study.sub_spaces() for model in list_models(sub)}) > 1:
        unlike = ["model", *unlike]
    for metric in study.objectives:
        if unlike and metric.endswith("/loss"):
            raise ValueError(
                f"search.metric: {metric} is not comparable between trials that differ in {unlike[0]}; use val/elbo"
            )


def _list_values(study: StudyFields, name: str) -> set[Any]:
    """The values of a setting that is a choice, over all sub-spaces."""
    default = SETTINGS[name].default
    return {value for sub in study.sub_spaces() for value in (sub[name].extent if name in sub else (default,))}


def _check_sampler(study: StudyFields) -> None:
    sampler, spaces = study.search.sampler, study.sub_spaces()
    if sampler in ("gp", "cmaes", "nsga2") and len(spaces) > 1:
        raise ValueError(
            f"search.sampler: {sampler} needs one space, and here are {len(spaces)}; keep one sub-space, or use "
            "tpe, random or quasirandom"
        )
    if sampler == "cmaes":
        searched = {name: d for name, d in spaces[0].items() if d.is_searched}
        for name, domain in searched.items():
            if isinstance(domain, Finite) and domain.kind != "range":
                raise ValueError(
                    f"{study.section_of(0, name)}.{name}: cmaes searches intervals, and this is a {domain.kind}; "
                    "write it as int, uniform or loguniform, or use tpe or gp"
                )
        if len(searched) < 2:
            raise ValueError("search.sampler: cmaes needs two settings to search at least; use tpe or gp")


def _check_scheduler(study: StudyFields) -> None:
    scheduler, name = study.scheduler, study.scheduler.name
    changed = {f for f, info in Scheduler.model_fields.items() if getattr(scheduler, f) != info.default}
    for field in sorted(changed - {"name", *SCHEDULER_FIELDS[name]}):
        owners = [owner for owner, fields in SCHEDULER_FIELDS.items() if field in fields]
        raise ValueError(f"scheduler.{field}: {name} has none; remove it, or use {' or '.join(owners)}")
    if "grace" in changed and scheduler.resource == "epochs":
        raise ValueError("scheduler.grace: with resource: epochs it is grace_epochs; use that, or resource: steps")
    if "grace_epochs" in changed and scheduler.resource != "epochs":
        raise ValueError(f"scheduler.grace_epochs: {name} counts {scheduler.resource} here; use grace: 1000")
    if name != "fifo" and (len(study.objectives) > 1 or study.metric in COST_METRICS):
        raise ValueError(f"scheduler.name: {name} compares trials by one metric of an epoch; use fifo or val/elbo")
    if name == "pbt":
        _check_population(study)


def _check_population(study: StudyFields) -> None:
    sampler, perturb = study.search.sampler, study.scheduler.perturb
    if sampler in ADAPTIVE_SAMPLERS:
        raise ValueError(
            f"scheduler.name: pbt trains a population that starts together, and {sampler} learns from trials that "
            "have ended; use grid, random or quasirandom"
        )
    if len(study.all_seeds) > 1:
        raise ValueError("seeds: pbt trains one population; give one seed")
    if not perturb or len(set(perturb)) < len(perturb):
        raise ValueError("scheduler.perturb: give at least one setting, each once, such as [learning_rate]")
    models = {model for sub in study.sub_spaces() for model in list_models(sub)}
    for name in perturb:
        if not any(belongs(name, model) for model in models):
            of = " or ".join(SETTINGS[name].metadata["of"])
            raise ValueError(
                f"scheduler.perturb: a {' or '.join(sorted(models))} has no {name}; remove it, or add a {of}"
            )
    names = ", ".join(perturb)
    for i, sub in enumerate(study.sub_spaces()):
        # A population has one architecture and one prior, as its members take over each other's parameters.
        size = math.prod(len(d.values) for name, d in sub.items() if name in perturb and isinstance(d, Finite))
        if sampler == "grid" and size < MIN_POPULATION:
            raise ValueError(
                f"space[{i}]: pbt needs a population of {MIN_POPULATION} at least, and {names} have {size} "
                f"values here; give more, or draw them: search: {{sampler: random, num_trials: 8}}"
            )
        others = [name for name, d in sub.items() if name not in perturb and d.is_searched]
        if sampler != "grid" and (others or i):
            where = f"{study.section_of(i, others[0])}.{others[0]}" if others else "space"
            raise ValueError(
                f"{where}: pbt changes {names} alone, in one population; give one value, or use sampler grid"
            )
    if sampler != "grid" and study.count_configurations() < MIN_POPULATION:
        raise ValueError(f"search.num_trials: pbt needs a population of {MIN_POPULATION} at least")
    epochs, *rest = (sub.get("epochs", _DEFAULT_EPOCHS) for sub in study.sub_spaces())
    if any(other != epochs for other in rest) or not isinstance(epochs, Finite) or len(epochs.values) > 1:
        raise ValueError("defaults.epochs: pbt trains a whole population equally long; give one number")
    if epochs.values[0] <= study.scheduler.interval:
        raise ValueError(
            f"scheduler.interval: {study.scheduler.interval} of {epochs.values[0]} epochs leave no second "
            "generation; give fewer"
        )


def _check_confirm(study: StudyFields) -> None:
    if study.confirm is None:
        return
    check_seeds("confirm.seeds", study.confirm.seeds)
    if len(study.objectives) > 1:
        raise ValueError("confirm: several metrics have no one best; remove it, or search by one metric")
    if not study.metric.startswith("val/"):
        raise ValueError(f"confirm: the best is chosen on validation images, not by {study.metric}; use val/elbo")
    if study.scheduler.name != "fifo" and len(study.all_seeds) > 1:
        raise ValueError(
            f"seeds: {study.scheduler.name} stops some seeds of a configuration and not others; search with one seed, "
            "and confirm over several"
        )
    if study.scheduler.name == "pbt":
        raise ValueError("confirm: what pbt arrives at is no one configuration; remove it, or use fifo or asha")
    if "elbo" not in study.evaluate:
        raise ValueError("confirm: its answer is the test ELBO; add elbo to evaluate")


def _check_clamps(study: StudyFields) -> None:
    """Refuse to train anew what differs in a clamp that nothing is computed with."""
    for i, sub in enumerate(study.sub_spaces()):
        clamp, source = sub.get("gamma_clamp"), sub.get("kl_from")
        if clamp and clamp.is_searched and isinstance(source, Finite) and "logits" in source.values:
            raise ValueError(
                f"{study.section_of(i, 'gamma_clamp')}.gamma_clamp: with kl_from: logits nothing is clamped; remove "
                "it, or give kl_from: logits a sub-space of its own"
            )


def _check_randomness(study: StudyFields) -> None:
    domains = [sub["randomness"] for sub in study.sub_spaces() if "randomness" in sub]
    if not any(isinstance(d, Finite) and "report" in d.values for d in domains):
        return
    for i, sub in enumerate(study.sub_spaces()):
        network = sub.get("network")
        if isinstance(network, Finite) and network.values != ("mlp",):
            raise ValueError(
                f"{study.section_of(i, 'network')}.network: the reproduction's random numbers are those of an mlp; "
                "remove it, or set randomness: counter"
            )
    for field, seeds in (("seeds", study.all_seeds), ("confirm.seeds", study.confirm.seeds if study.confirm else ())):
        if max(seeds, default=0) >= 2**32:  # torch's generator keeps the low 32 bits
            raise ValueError(
                f"{field}: the report's random numbers have seeds from 0 to {2**32 - 1}; give one of these"
            )
    if study.resources.gpu != 0:
        raise ValueError(
            "resources.gpu: the reproduction's random numbers are drawn on the CPU; set gpu: 0, or randomness: counter"
        )


def _check_binarisation(study: StudyFields) -> None:
    for i, sub in enumerate(study.sub_spaces()):
        values = {name: domain.values for name, domain in sub.items() if isinstance(domain, Finite)}
        if set(values.get("binarisation", ())) <= {"none"}:
            continue
        for name, value in UNLIKE_BINARY.items():
            if value in values.get(name, ()):
                raise ValueError(f"{study.section_of(i, 'binarisation')}.{refuse_binarisation(name)}")


def _check_discriminators(study: StudyFields) -> None:
    for i, sub in enumerate(study.sub_spaces()):
        if not set(OF_DISCRIMINATORS) & set(list_models(sub)):
            continue
        for name, value in UNLIKE_DISCRIMINATORS.items():
            if name in sub and value in sub[name].extent:
                raise ValueError(f"{study.section_of(i, name)}.{refuse_discriminator(name)}")


def _check_likelihood(study: StudyFields) -> None:
    if _list_values(study, "likelihood") == {"bernoulli"}:
        return
    if "edits" in study.evaluate:
        raise ValueError(
            "evaluate: edits looks at probabilities of ink, and a likelihood of the study is gaussian; remove edits, "
            "or set likelihood: bernoulli"
        )
    if "test/entropy_floor" in study.objectives:
        raise ValueError(
            "search.metric: test/entropy_floor is of Bernoulli pixels, and a likelihood of the study is gaussian; use "
            "another metric, or set likelihood: bernoulli"
        )
