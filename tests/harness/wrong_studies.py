"""Small studies that are wrong, with what has to be said of each."""

from dataclasses import dataclass

from tests.harness.small_studies import ALPHA, GOOD, LATENTS, ONE_SEED, RANDOM_STUDY, SEEDS, TPE, edit


@dataclass(frozen=True)
class Wrong:
    """A wrong study and how the complaint begins (file, line, field) and what else it holds (the fix)."""

    id: str
    text: str
    place: str
    fix: str
    in_schema: bool  # whether a JSON schema can see it, too


def _wrong(id: str, old: str, new: str, place: str, fix: str, *, in_schema: bool = True) -> Wrong:  # noqa: A002
    return Wrong(id, edit(old, new), f"study.yaml:{place}: ", fix, in_schema)


CMAES = edit("  - model: vae\n    latent_dim: 2\n", "", edit("    latent_dim: {grid: [2, 4]}\n", "", ONE_SEED)) + (
    "search: {sampler: cmaes, num_trials: 3}\n"
)

WRONG_FIELDS = [
    # keys
    _wrong("unknown-key", "seeds:", "sedes:", "12: sedes", "unknown key; did you mean seeds?"),
    _wrong("unknown-key-far", SEEDS, "lr: 3\n", "12: lr", "use one of name, dataset, plugins, defaults"),
    _wrong("setting-at-the-top", SEEDS, "epoch: 3\n", "12: epoch", "did you mean epochs under defaults?"),
    _wrong("unknown-setting", "latent_dim: 2\n", "latent_dims: 2\n", "8: space[0].latent_dims", "mean latent_dim?"),
    _wrong("unknown-default", "epochs: 2", "epoch: 2", "4: defaults.epoch", "did you mean epochs?"),
    _wrong("seed-as-setting", "epochs: 2", "seed: 2", "4: defaults.seed", "unknown key; use one of model,"),
    _wrong("unknown-search", SEEDS, "search: {smapler: grid}\n", "12: search.smapler", "did you mean sampler?"),
    _wrong("key-with-newline", "seeds:", '"se\\nds":', "12: se ds", "did you mean seeds?"),
    # the name
    _wrong("name-dots", "demo", "..", "1: name", "'..' is not a slug; use a-z"),
    _wrong("name-slash", "demo", "a/b", "1: name", "'a/b' is not a slug; use a-z"),
    _wrong("name-absolute", "demo", "/tmp/x", "1: name", "'/tmp/x' is not a slug"),
    _wrong("name-empty", "demo", "''", "1: name", "'' is not a slug"),
    _wrong("name-upper", "demo", "Demo", "1: name", "'Demo' is not a slug"),
    _wrong("name-file", "demo", "mlflow.db", "1: name", "'mlflow.db' is not a slug"),
    _wrong("name-newline", "demo", '"demo\\n"', "1: name", "is not a slug", in_schema=False),
    _wrong("name-long", "demo", "a" * 81, "1: name", "at most 80"),
    _wrong("name-very-long", "demo", "a" * 100_000, "1: name", "at most 80"),
    _wrong("name-number", "demo", "7", "1: name", "7 should be a string; write it in quotes"),
    _wrong("name-number-e", "demo", "1e3", "1: name", "1000.0 should be a string"),
    _wrong("name-null", "demo", "", "1: name", "None should be a string"),
    _wrong("name-true", "demo", "true", "1: name", "True should be a string; write it in quotes"),
    # plug-ins
    _wrong("plugins-text", SEEDS, "plugins: mine\n", "12: plugins", "'mine' should be a list; write [mine]"),
    _wrong("plugins-twice", SEEDS, "plugins: [a, a]\n", "12: plugins", "one stands twice in ['a', 'a']; remove it"),
    _wrong("plugins-number", SEEDS, "plugins: [3]\n", "12: plugins[0]", "3 should be a string"),
    _wrong("plugins-none", SEEDS, "plugins: [a]\n", "12: plugins", "there is no a.py, nor", in_schema=False),
    # types
    _wrong("dataset-unknown", "digits", "imagenet", "2: dataset", "'imagenet' is not one of 'digits', 'mnist'"),
    _wrong("dataset-number", "digits", "3", "2: dataset", "3 is not one of 'digits'"),
    _wrong("text-for-number", "latent_dim: 2\n", "latent_dim: big\n", "8: space[0].latent_dim", "such as 16"),
    _wrong("bool-for-number", "latent_dim: 2\n", "latent_dim: true\n", "8: space[0].latent_dim", "whole number"),
    _wrong("fraction", "latent_dim: 2\n", "latent_dim: 2.5\n", "8: space[0].latent_dim", "2.5 is not a whole number"),
    _wrong(
        "quoted-number",
        "alpha: 0.2",
        "alpha: '0.2'",
        "11: space[1].alpha",
        "'0.2' is not a number, such as 0.2; write 0.2, without quotes",
    ),
    _wrong("choice-unknown", "epochs: 2", "gamma_link: relu", "4: defaults.gamma_link", "not one of exp_relu, sigmoid"),
    _wrong(
        "list-as-value", "latent_dim: 2\n", "latent_dim: [2]\n", "8: space[0].latent_dim", "a list; write {grid: [2]}"
    ),
    _wrong("list-of-alphas", ALPHA, "[0.1, 0.5]", "11: space[1].alpha", "a list; write {grid: [0.1, 0.5]}"),
    _wrong("list-of-widths", "[8]", "[[8], [16]]", "5: defaults.hidden", "a list; write {grid: [[8], [16]]}"),
    _wrong("list-of-links", ALPHA, "0.2\n    gamma_link: [sigmoid]", "12: space[1].gamma_link", "{grid: [sigmoid]}"),
    _wrong("list-of-bad", ALPHA, "[0.1, 7]", "11: space[1].alpha", "7 is not inside [1e-06, 0.999999]"),
    _wrong("list-of-models", "model: vae", "model: [vae, vsc]", "7: space[0].model", "one model to each sub-space"),
    _wrong("commas", "latent_dim: 2\n", "latent_dim: 4, 8\n", "8: space[0].latent_dim", "; write {grid: [4, 8]}"),
    _wrong("decimal-comma", ALPHA, "0,2", "11: space[1].alpha", "; write {grid: [0, 2]}, or 0.2 with a point"),
    _wrong("underscores", "latent_dim: 2\n", "latent_dim: 1_0\n", "8: space[0].latent_dim", "; write 10, without"),
    _wrong("base-60", "latent_dim: 2\n", "latent_dim: 1:30\n", "8: space[0].latent_dim", "'1:30' is not a whole"),
    _wrong("yes-for-number", "latent_dim: 2\n", "latent_dim: yes\n", "8: space[0].latent_dim", "'yes' is not a whole"),
    _wrong("quoted-count", SEEDS, "iw_samples: '5'\n", "12: iw_samples", "; write 5, without quotes"),
    _wrong("sampler-unknown", SEEDS, "search: {sampler: bayes}\n", "12: search.sampler", "'quasirandom', 'tpe'"),
    _wrong(
        "scheduler-text", SEEDS, "scheduler: fifo\n", "12: scheduler", "a mapping of `key: value`; such as {name: asha}"
    ),
    _wrong("evaluate-text", SEEDS, "evaluate: elbo\n", "12: evaluate", "'elbo' should be a list; write [elbo]"),
    _wrong("evaluate-unknown", SEEDS, "evaluate: [elbow]\n", "12: evaluate[0]", "not one of 'elbo'"),
    # nulls
    _wrong("defaults-null", "  epochs: 2\n  hidden: [8]\n", "", "3: defaults", "None should be a mapping"),
    _wrong("search-null", SEEDS, "search:\n", "12: search", "None should be a mapping"),
    _wrong("seeds-null", SEEDS, "seeds:\n", "12: seeds", "None should be a list"),
    _wrong("setting-null", "alpha: 0.2", "alpha: null", "11: space[1].alpha", "no value; give one, or remove it"),
    _wrong("null-in-grid", ALPHA, "{grid: [0.1, null]}", "11: space[1].alpha", "no value; give one, or remove it"),
    _wrong("hidden-null", "[8]", "", "5: defaults.hidden", "no value"),
    # numbers
    _wrong("alpha-0", ALPHA, "0", "11: space[1].alpha", "0 is not inside [1e-06, 0.999999]; give a number"),
    _wrong("alpha-1", ALPHA, "1.0", "11: space[1].alpha", "1.0 is not inside [1e-06, 0.999999]"),
    _wrong("alpha-tiny", ALPHA, "1e-9", "11: space[1].alpha", "1e-09 is not inside [1e-06, 0.999999]; give a number"),
    _wrong("alpha-near-1", ALPHA, "0.9999999", "11: space[1].alpha", "is not inside [1e-06, 0.999999]"),
    _wrong("rate-tiny", "epochs: 2", "learning_rate: 1e-50", "4: defaults.learning_rate", "[1.2e-38, 3.4e+38]"),
    _wrong("beta-huge", "epochs: 2", "beta: {loguniform: [1, 1e39]}", "4: defaults.beta", "[1.2e-38, 3.4e+38]"),
    _wrong("sharpness-tiny", ALPHA, "0.2\n    sharpness: 1e-300", "12: space[1].sharpness", "[1.2e-38, 3.4e+38]"),
    _wrong("clamp-tiny", ALPHA, "0.2\n    gamma_clamp: 1e-9", "12: space[1].gamma_clamp", "not 0 or inside [1e-06"),
    Wrong(
        "seed-of-the-report",
        edit("epochs: 2", "randomness: report", edit("[0, 1]", "[0, 4294967296]")),
        "study.yaml:12: seeds: ",
        "seeds from 0 to 4294967295; give one of these",
        in_schema=False,
    ),
    _wrong("alpha-nan", ALPHA, ".nan", "11: space[1].alpha", "nan is not inside [1e-06, 0.999999]", in_schema=False),
    _wrong(
        "clamp-half",
        ALPHA,
        "0.2\n    gamma_clamp: 0.5",
        "12: space[1].gamma_clamp",
        "0.5 is not 0 or inside [1e-06, 0.5); give",
    ),
    _wrong(
        "clamp-below-0",
        ALPHA,
        "0.2\n    gamma_clamp: -1",
        "12: space[1].gamma_clamp",
        "-1 is not 0 or inside [1e-06, 0.5)",
    ),
    _wrong("alpha-in-grid", ALPHA, "{grid: [0.1, 1.5]}", "11: space[1].alpha", "1.5 is not inside [1e-06, 0.999999]"),
    _wrong("latent-0", "latent_dim: 2\n", "latent_dim: 0\n", "8: space[0].latent_dim", "give at least 1"),
    _wrong("latent-huge", "latent_dim: 2\n", "latent_dim: 1e300\n", "8: space[0].latent_dim", "is too large; give at"),
    _wrong("rate-inf", "epochs: 2", "learning_rate: .inf", "4: defaults.learning_rate", "inf is not", in_schema=False),
    _wrong("rate-nan", "epochs: 2", "learning_rate: .nan", "4: defaults.learning_rate", "nan is not", in_schema=False),
    _wrong(
        "rate-0", "epochs: 2", "learning_rate: 0.0", "4: defaults.learning_rate", "0.0 is not inside [1.2e-38, 3.4e+38]"
    ),
    _wrong("hidden-empty", "[8]", "[]", "5: defaults.hidden", "an empty list; give at least one width"),
    _wrong("hidden-0", "[8]", "[8, 0]", "5: defaults.hidden", "0 is too small"),
    _wrong("cpu-0", SEEDS, "resources: {cpu: 0}\n", "12: resources.cpu", "greater than or equal to 0.0001"),
    _wrong("gpu-speck", SEEDS, "resources: {gpu: 1e-9}\n", "12: resources.gpu", "from 0.0001", in_schema=False),
    _wrong("gpu-one-and-a-half", SEEDS, "resources: {gpu: 1.5}\n", "12: resources.gpu", "whole", in_schema=False),
    _wrong("cpu-inf", SEEDS, "resources: {cpu: .inf}\n", "12: resources.cpu", "finite", in_schema=False),
    _wrong("gpu-negative", SEEDS, "resources: {gpu: -1}\n", "12: resources.gpu", "greater than or equal to 0"),
    _wrong("iw-0", SEEDS, "iw_samples: 0\n", "12: iw_samples", "greater than or equal to 1"),
    _wrong("sampler-seed-huge", SEEDS, "search: {seed: 4294967296}\n", "12: search.seed", "less than or equal to"),
    # domains
    _wrong("grid-empty", LATENTS, "{grid: []}", "10: space[1].latent_dim", "an empty grid; give at least one value"),
    _wrong("choice-empty", LATENTS, "{choice: []}", "10: space[1].latent_dim", "an empty choice"),
    _wrong("grid-twice", LATENTS, "{grid: [2, 2.0]}", "10: space[1].latent_dim", "remove one", in_schema=False),
    _wrong(
        "grid-number", LATENTS, "{grid: 2}", "10: space[1].latent_dim", "grid needs a list, such as {grid: [8, 16]}"
    ),
    _wrong("domain-empty", LATENTS, "{}", "10: space[1].latent_dim", "not a domain; give one value, or one of grid"),
    _wrong("domain-unknown", LATENTS, "{normal: [2, 4]}", "10: space[1].latent_dim", "not a domain"),
    _wrong("domain-two", LATENTS, "{grid: [2], choice: [4]}", "10: space[1].latent_dim", "not a domain"),
    _wrong("range-step-0", LATENTS, "{range: [2, 4, 0]}", "10: space[1].latent_dim", "above 0", in_schema=False),
    _wrong("range-reversed", LATENTS, "{range: [4, 2, 1]}", "10: space[1].latent_dim", "first <= l", in_schema=False),
    _wrong("range-two", LATENTS, "{range: [2, 4]}", "10: space[1].latent_dim", "three numbers [first, last, step]"),
    _wrong("range-text", LATENTS, "{range: [2, 4, a]}", "10: space[1].latent_dim", "three numbers"),
    _wrong("range-inf", LATENTS, "{range: [2, .inf, 1]}", "10: space[1].latent_dim", "range needs", in_schema=False),
    _wrong("range-nan", LATENTS, "{range: [2, 4, .nan]}", "10: space[1].latent_dim", "range needs", in_schema=False),
    _wrong("range-step-inf", LATENTS, "{range: [2, 4, .inf]}", "10: space[1].latent_dim", "needs", in_schema=False),
    _wrong("range-huge", LATENTS, "{range: [1, 1e9, 1]}", "10: space[1].latent_dim", "larger step", in_schema=False),
    _wrong("range-tiny", LATENTS, "{range: [1, 4, 5e-324]}", "10: space[1].latent_dim", "larger st", in_schema=False),
    _wrong(
        "clamps-of-nothing",
        ALPHA,
        "0.2\n    kl_from: {grid: [gamma, logits]}\n    gamma_clamp: {grid: [0, 1e-3]}",
        "13: space[1].gamma_clamp",
        "with kl_from: logits nothing is clamped; remove it, or give kl_from: logits a sub-space of its own",
        in_schema=False,
    ),
    _wrong("range-fractions", LATENTS, "{range: [1, 2, 0.5]}", "10: space[1].latent_dim", "1.5 is", in_schema=False),
    _wrong("uniform-reversed", ALPHA, "{uniform: [0.5, 0.1]}", "11: space[1].alpha", "below its high", in_schema=False),
    _wrong("uniform-point", ALPHA, "{uniform: [0.5, 0.5]}", "11: space[1].alpha", "below its high", in_schema=False),
    _wrong("uniform-three", ALPHA, "{uniform: [0.1, 0.2, 0.3]}", "11: space[1].alpha", "uniform needs two numbers"),
    _wrong(
        "uniform-outside", ALPHA, "{uniform: [0.5, 1.5]}", "11: space[1].alpha", "1.5 is not inside [1e-06, 0.999999]"
    ),
    _wrong("uniform-whole", LATENTS, "{uniform: [2, 4]}", "10: space[1].latent_dim", "use {int: [8, 200]}"),
    _wrong("int-fraction", ALPHA, "{int: [1, 2]}", "11: space[1].alpha", "is not inside [1e-06, 0.999999]"),
    _wrong("int-rate", "epochs: 2", "beta: {int: [1, 2]}", "4: defaults.beta", "use {uniform: [0.1, 0.5]}"),
    _wrong("int-huge", LATENTS, "{int: [1, 1e18]}", "10: space[1].latent_dim", "is too large"),
    _wrong("int-hidden", "[8]", "{int: [8, 16]}", "5: defaults.hidden", "hidden is a list; use {grid: [[128],"),
    _wrong("range-hidden", "[8]", "{range: [8, 16, 8]}", "5: defaults.hidden", "hidden is a list; use {grid: [[128],"),
    _wrong(
        "interval-by-default",
        "hidden: [8]",
        "learning_rate: {loguniform: [1.0e-4, 1.0e-2]}",
        "5: defaults.learning_rate",
        "a grid cannot enumerate loguniform",
        in_schema=False,
    ),
    _wrong("interval-in-grid", ALPHA, "{uniform: [0.1, 0.5]}", "11: space[1].alpha", "list values", in_schema=False),
    # the space
    _wrong(
        "space-null", "model: vae\n    latent_dim: 2\n  -", "{}\n  -", "7: space[0].model", "vae or", in_schema=False
    ),
    _wrong("space-entry-null", "- model: vae\n    latent_dim: 2\n", "-\n", "7: space[0]", "None should be a mapping"),
    _wrong("space-entry-text", "- model: vae\n    latent_dim: 2\n", "- vae\n", "7: space[0]", "'vae' should be a mapp"),
    _wrong("alpha-on-vae", "dim: 2\n", "dim: 2\n    alpha: 0.3\n", "9: space[0].alpha", "remove it", in_schema=False),
    _wrong("no-alpha", "    alpha: 0.2\n", "", "9: space[1].alpha", "a vsc needs one, such as", in_schema=False),
    _wrong("no-latent", "    latent_dim: 2\n", "", "7: space[0].latent_dim", "or under defaults", in_schema=False),
    _wrong("two-models", "vae", "{grid: [vae, vsc]}", "7: space[0].model", "one model to each"),
    _wrong("too-many", "epochs: 2", "batch_size: {range: [1, 90000, 1]}", "6: space", "take fewer", in_schema=False),
    # the seeds
    _wrong("seeds-empty", "[0, 1]", "[]", "12: seeds", "give at least one whole number from 0, each once"),
    _wrong("seeds-twice", "[0, 1]", "[1, 1]", "12: seeds", "each once"),
    _wrong("seeds-negative", "[0, 1]", "[0, -1]", "12: seeds", "from 0"),
    _wrong("seeds-bool", "[0, 1]", "[true]", "12: seeds[0]", "True should be an integer"),
    _wrong("seeds-fraction", "[0, 1]", "[0, 1.5]", "12: seeds[1]", "should be an integer"),
    _wrong("sub-seeds-empty", ALPHA, "0.2\n    seeds: []", "12: space[1].seeds", "give at least one", in_schema=False),
    _wrong("sub-seeds-number", ALPHA, "0.2\n    seeds: 3", "12: space[1].seeds", "should be a list; write [3]"),
    _wrong("seeds-number", "[0, 1]", "3", "12: seeds", "3 should be a list; write [3]"),
    _wrong("seeds-commas", "[0, 1]", "0, 1", "12: seeds", "; write [0, 1]"),
    _wrong("seeds-grid", "[0, 1]", "{grid: [0, 1]}", "12: seeds", "should be a list; write [0, 1]"),
    # the search
    _wrong("tpe-seeds", SEEDS, SEEDS + TPE.split("\n")[1], "12: seeds", "give one seed", in_schema=False),
    Wrong(
        "random-sub-seeds",
        edit(ALPHA, "0.2\n    seeds: [4]", RANDOM_STUDY),
        "study.yaml:12: space[1].seeds: ",
        "give seeds of the study",
        in_schema=False,
    ),
    _wrong("tpe-endless", SEEDS, "search: {sampler: tpe}\n", "12: search.num_trials", "say how many", in_schema=False),
    _wrong("random-endless", SEEDS, "search: {sampler: random}\n", "12: search.num_trials", "say how", in_schema=False),
    _wrong("num-trials-0", SEEDS, "search: {num_trials: 0}\n", "12: search.num_trials", "greater than or equal to 1"),
    _wrong("grid-counted", SEEDS, "search: {num_trials: 3}\n", "12: search.num_trials", "remove it", in_schema=False),
    _wrong(
        "random-many",
        SEEDS,
        "search: {sampler: random, num_trials: 1000000}\n",
        "12: search.num_trials",
        "take fewer",
        in_schema=False,
    ),
    _wrong(
        "constraint-form",
        SEEDS,
        "search: {sampler: tpe, num_trials: 3, constraints: [val/rate < 9]}\n",
        "12: search.constraints[0]",
        "'val/rate < 9' is not a metric, <= or >=, and a number; write one such as val/nonzero_fraction <= 0.2",
    ),
    _wrong(
        "constraint-text",
        SEEDS,
        "search: {sampler: tpe, num_trials: 3, constraints: val/rate <= 9}\n",
        "12: search.constraints",
        "write [val/rate <= 9]",
    ),
    _wrong("metric-unknown", SEEDS, "search: {metric: test/x}\n", "12: search.metric", "use one of", in_schema=False),
    _wrong(
        "metric-unmeasured",
        SEEDS,
        "evaluate: [elbo]\nsearch: {metric: test/iw_bound}\n",
        "13: search.metric",
        "no evaluation yields 'test/iw_bound'",
        in_schema=False,
    ),
    _wrong("metric-val", SEEDS, "search: {metric: val/elbo}\n", "12: search.metric", "num_validat", in_schema=False),
    _wrong("mode-wrong", SEEDS, "search: {mode: max}\n", "12: search.mode", "use mode: min", in_schema=False),
    *(
        _wrong(
            f"tpe-on-{metric}",
            SEEDS,
            f"search: {{sampler: tpe, num_trials: 3, metric: {metric}}}\n",
            "12: search.metric",
            "use val/elbo",
            in_schema=False,
        )
        for metric in ("test/elbo", "test/loss", "test/iw_bound", "code/hoyer")
    ),
    _wrong(
        "asha-on-test",
        SEEDS,
        "scheduler: {name: asha}\nsearch: {metric: test/loss}\n",
        "13: search.metric",
        "use val/elbo",
        in_schema=False,
    ),
    Wrong(
        "loss-over-beta",
        edit("epochs: 2", "beta: {uniform: [1, 2]}") + "search: {sampler: random, num_trials: 3, metric: val/loss}\n"
        "confirm: {}\n",
        "study.yaml:13: search.metric: ",
        "differ in beta; use val/elbo",
        in_schema=False,
    ),
    Wrong(
        "loss-over-objectives",
        edit("vsc\n", "beta_tcvae\n", edit(f"    alpha: {ALPHA}\n", "", ONE_SEED))
        + "search: {sampler: tpe, num_trials: 3, metric: val/loss}\n",
        "study.yaml:12: search.metric: ",
        "differ in model; use val/elbo",
        in_schema=False,
    ),
    *(
        Wrong(
            f"{metric}-over-{setting}",
            text + f"search: {{sampler: tpe, num_trials: 3, metric: val/{metric}}}\n",
            f"study.yaml:{line}: search.metric: ",
            f"differ in {setting}, which changes {changed}; give one value of it",
            in_schema=False,
        )
        for metric, setting, line, text in [
            ("elbo", "binarisation", 13, edit("epochs: 2", "binarisation: {choice: [none, static]}", ONE_SEED)),
            (
                "distortion",
                "pixel_scaling",
                13,
                edit("epochs: 2", "pixel_scaling: {choice: [minmax, unit_norm]}", ONE_SEED),
            ),
            ("elbo", "likelihood", 13, edit("epochs: 2", "likelihood: {choice: [bernoulli, gaussian]}", ONE_SEED)),
            (
                "loss",
                "binarisation",
                14,
                edit(f"alpha: {ALPHA}\n", f"alpha: {ALPHA}\n    binarisation: static\n", ONE_SEED),
            ),
        ]
        for changed in ["what a bound is of" if setting == "likelihood" else "the images"]
    ),
    # what a check of the whole study finds under defaults, and not in the sub-space that it makes wrong
    *(
        Wrong(
            f"default-{setting}", edit("epochs: 2", given, text), f"study.yaml:{line}: defaults.{setting}: ", fix, False
        )
        for setting, line, fix, given, text in [
            (
                "network",
                5,
                "are those of an mlp",
                "randomness: report\n  network: conv",
                edit("  hidden: [8]\n", ""),
            ),
            ("binarisation", 4, "pixels stay grey", "binarisation: static\n  pixel_scaling: unit_norm", GOOD),
            (
                "gamma_clamp",
                5,
                "nothing is clamped",
                "kl_from: {grid: [gamma, logits]}\n  gamma_clamp: {grid: [0, 1e-6]}",
                GOOD,
            ),
            ("latent_dim", 5, "cmaes searches intervals", "epochs: 2\n  latent_dim: {choice: [2, 4]}", CMAES),
            (
                "randomness",
                5,
                "does not go with a discriminator",
                "tc_weight: 1\n  randomness: report",
                edit("model: vae", "model: factor_vae"),
            ),
        ]
    ),
    # what means nothing beside another setting
    _wrong(
        "architecture-of-an-mlp",
        "latent_dim: 2\n",
        "latent_dim: 2\n    architecture: burgess\n",
        "9: space[0].architecture",
        "network mlp has none; remove it, or set network: conv",
        in_schema=False,
    ),
    _wrong(
        "hidden-of-some-networks",
        "hidden: [8]",
        "hidden: [8]\n  network: {grid: [mlp, conv]}",
        "5: defaults.hidden",
        "network conv has none; remove it, or set network: mlp",
        in_schema=False,
    ),
    *(
        Wrong(
            name,
            edit("epochs: 2", "epochs: 2\n  likelihood: {grid: [bernoulli, gaussian]}") + text,
            f"study.yaml:14: {field}: ",
            fix,
            in_schema=False,
        )
        for name, text, field, fix in [
            ("gaussian-edits", "evaluate: [elbo, edits]\n", "evaluate", "remove edits, or set likelihood: bernoulli"),
            ("gaussian-floor", "search: {metric: test/entropy_floor}\n", "search.metric", "use another metric, or set"),
        ]
    ),
    # what does not go together
    *(
        _wrong(name, SEEDS, f"seeds: [0]\n{text}", f"{line}: {field}", fix, in_schema=False)
        for name, text, line, field, fix in [
            ("gp-spaces", "search: {sampler: gp, num_trials: 3}\n", 13, "search.sampler", "use tpe, random"),
            ("cmaes-spaces", "search: {sampler: cmaes, num_trials: 3}\n", 13, "search.sampler", "keep one sub-space"),
            (
                "nsga2-one-metric",
                "search: {sampler: nsga2, num_trials: 3, metric: val/elbo}\n",
                13,
                "search.metric",
                "such as [val/rate, val/distortion], or use tpe",
            ),
            (
                "metrics-of-random",
                "search: {sampler: random, num_trials: 3, metric: [train/loss, train/rate]}\n",
                13,
                "search.metric",
                "random steers by one metric; give one, or use gp, nsga2 or tpe",
            ),
            (
                "constraints-of-random",
                "search: {sampler: random, num_trials: 3, constraints: [val/rate <= 9]}\n",
                13,
                "search.constraints",
                "random pays them no heed; remove them, or use tpe, gp or nsga2",
            ),
            (
                "constraint-on-test",
                "search: {sampler: tpe, num_trials: 3, constraints: [val/rate <= 9, code/active_units <= 2]}\n",
                13,
                "search.constraints[1]",
                "without a look at the test images; use one of train/rate",
            ),
            (
                "constraint-twice",
                "search: {sampler: tpe, num_trials: 3, constraints: [val/rate <= 9, val/rate<=9.0]}\n",
                13,
                "search.constraints",
                "one stands twice; remove it",
            ),
            (
                "constraints-that-exclude-each-other",
                "search: {sampler: tpe, num_trials: 3, constraints: [val/elbo >= -30, val/rate<=9, val/elbo <= -40]}\n",
                13,
                "search.constraints[2]",
                "no trial keeps to both val/elbo >= -30 and val/elbo <= -40; change a bound, or remove one",
            ),
            (
                "constraints-that-exclude-each-other-upper-first",
                "search: {sampler: tpe, num_trials: 3, constraints: [val/rate <= 5, val/rate >= 6]}\n",
                13,
                "search.constraints[1]",
                "no trial keeps to both val/rate <= 5 and val/rate >= 6; change a bound, or remove one",
            ),
            (
                "stop-of-random",
                "search: {sampler: random, num_trials: 3, stop: {epochs: 9}}\n",
                13,
                "search.stop",
                "use tpe, gp, cmaes or nsga2",
            ),
            ("at-once-of-grid", "search: {at_once: 2}\n", 13, "search.at_once", "use tpe, gp, cmaes or nsga2"),
            (
                "stop-0",
                "search: {sampler: tpe, num_trials: 3, stop: {hours: 0}}\n",
                13,
                "search.stop.hours",
                "greater than 0",
            ),
            (
                "stop-key",
                "search: {sampler: tpe, num_trials: 3, stop: {hour: 2}}\n",
                13,
                "search.stop.hour",
                "mean hours?",
            ),
            (
                "gain-of-two",
                "search: {sampler: tpe, num_trials: 3, metric: [val/elbo, val/rate], stop: {gain: 1}}\n",
                13,
                "search.stop.gain",
                "or search by one metric",
            ),
            (
                "at-once-asha",
                "search: {sampler: tpe, num_trials: 3, at_once: 2}\nscheduler: {name: asha}\n",
                13,
                "search.at_once",
                "or use fifo",
            ),
            ("metric-twice", "search: {metric: [test/loss, test/loss]}\n", 13, "search.metric", "remove one"),
            (
                "two-metrics-asha",
                "search: {sampler: tpe, num_trials: 3, metric: [val/elbo, val/rate]}\nscheduler: {name: asha}\n",
                14,
                "scheduler.name",
                "use fifo or val/elbo",
            ),
            (
                "asha-by-time",
                "search: {metric: train_seconds}\nscheduler: {name: asha}\n",
                14,
                "scheduler.name",
                "fifo",
            ),
            (
                "mode-of-two",
                "search: {sampler: tpe, num_trials: 3, metric: [val/elbo, val/rate], mode: max}\n",
                13,
                "search.mode",
                "remove mode",
            ),
            ("fifo-interval", "scheduler: {interval: 3}\n", 13, "scheduler.interval", "remove it, or use pbt"),
            (
                "median-reduces",
                "scheduler: {name: median, reduction_factor: 3}\n",
                13,
                "scheduler.reduction_factor",
                "asha or hyperband",
            ),
            (
                "pbt-tpe",
                "search: {sampler: tpe, num_trials: 8}\nscheduler: {name: pbt}\n",
                14,
                "scheduler.name",
                "use grid, random or quasirandom",
            ),
            ("pbt-few", "scheduler: {name: pbt, interval: 1}\n", 7, "space[0]", "a population of 4 at least"),
            (
                "pbt-others",
                "search: {sampler: random, num_trials: 8}\nscheduler: {name: pbt, interval: 1}\n",
                10,
                "space[1].latent_dim",
                "pbt changes learning_rate alone, in one population",
            ),
            ("pbt-none", "scheduler: {name: pbt, perturb: []}\n", 13, "scheduler.perturb", "such as [learning_rate]"),
            ("perturb-alpha", "scheduler: {name: pbt, perturb: [alpha]}\n", 13, "scheduler.perturb[0]", "'beta'"),
            ("confirm-key", "confirm: {topp: 1}\n", 13, "confirm.topp", "did you mean top?"),
            ("confirm-top", "confirm: {top: 0}\n", 13, "confirm.top", "greater than or equal to 1"),
            ("confirm-seeds", "confirm: {seeds: []}\n", 13, "confirm.seeds", "give at least one whole number"),
            ("confirm-on-train", "confirm: {}\nsearch: {metric: train/loss}\n", 13, "confirm", "use val/elbo"),
            ("confirm-unmeasured", "confirm: {}\nevaluate: [sparsity]\n", 13, "confirm", "add elbo to evaluate"),
            (
                "confirm-two",
                "confirm: {}\nsearch: {sampler: tpe, num_trials: 3, metric: [val/elbo, val/rate]}\n",
                13,
                "confirm",
                "search by one metric",
            ),
        ]
    ),
    *(
        Wrong(
            f"lengths-{name}",
            edit("epochs: 2", "epochs: {grid: [2, 4]}") + text,
            "study.yaml:4: defaults.epochs: ",
            fix,
            in_schema=False,
        )
        for name, text, fix in [
            ("asha", "scheduler: {name: asha}\n", "asha needs one number of epochs"),
            ("tpe", "search: {sampler: tpe, num_trials: 2}\n", "list lengths in a grid study"),
        ]
    ),
    _wrong(
        "confirm-asha-seeds",
        SEEDS,
        "seeds: [0, 1]\nscheduler: {name: asha}\nconfirm: {}\n",
        "12: seeds",
        "search with one seed, and confirm over several",
        in_schema=False,
    ),
    Wrong(
        "asha-without-length",
        edit("epochs: 2", "epochs: {int: [2, 4]}")
        + "scheduler: {name: asha}\nsearch: {sampler: random, num_trials: 2}\n",
        "study.yaml:4: defaults.epochs: ",
        "asha needs one number of epochs",
        in_schema=False,
    ),
    Wrong("missing-name", edit("name: demo\n", ""), "study.yaml: name: ", "missing; add it", in_schema=True),
    Wrong("missing-space", "name: a\ndataset: digits\n", "study.yaml: space: ", "missing; add it", in_schema=True),
    *(
        Wrong(
            f"space-{value}",
            f"name: a\ndataset: digits\nspace: {value}\n",
            "study.yaml:3: space: ",
            fix,
            in_schema=True,
        )
        for value, fix in {
            "[]": "so the study has no trials; add one, such as - model: vae",
            "": "None should be a list",
            "vae": "'vae' should be a list",
            "{model: vae}": "should be a list; begin it with a dash, as in - model: vae",
        }.items()
    ),
]
