"""Names of the metrics of sparsity, gradients, probes, edits and disentanglement.

They stand apart from the code that measures, as names need no torch.
"""

from typing import get_args

from models.choices import Estimator

BOUNDS_VERSION = 2
"""Version of the ELBO and the importance-weighted bound: raise it when one changes or is added, and stored measures are
made again. Those of the inference gap and of reconstructions have no version and stay as they were stored: a change to
them has to give them one, in `Measures.evaluated`."""

SPARSITY_METRICS = (
    *("code/slab_prob", "code/nonzero_fraction", "code/num_nonzero", "code/hoyer", "code/active_units"),
    *("code/num_informative", "code/always_on_fraction", "code/gate_information"),
    *("code/support_overlap", "code/support_overlap_same_image"),
)
"""Metrics of `models.measures.sparsity.compute_sparsity`."""

SPARSITY_VERSION = 2
"""Version of these measures: raise it when one changes or is added, and stored measures are made again."""

ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)
WITH_BIAS = tuple(name for name in ESTIMATORS if name != "disarm")
"""Estimators of the gates' gradient whose mean is not the true one."""

GRADIENT_METRICS = (
    *(f"gradient/{name}_bias" for name in WITH_BIAS),
    *(f"gradient/{name}_noise" for name in ESTIMATORS),
)
"""Metrics of `models.measures.gate_gradients.measure_gate_gradients`, shares of the true gradient's length."""

GRADIENTS_VERSION = 2
"""Version of these measures, likewise."""

PROBES = ("report_coded", "report_written", "linear", "mlp", "knn")
"""Classifiers on codes. Two are those of "[Re] Variational Sparse Coding": report_coded as in its code, report_written
as in its text."""

INPUTS = ("mu", "gamma_mu", "z")
"""Codes that probes are trained on: mean of the posterior's slab, mean of the posterior, hard sample."""

CONTROL_INPUTS = ("mu_on", "mu_off", "untrained_mu", "hidden_projection")
"""Controls of what a probe on mu measures, the code or the encoder: see `models.measures.probes.controls`."""

LABEL_SETS = ("5k", "all")
"""Training images that probes are trained on: 5,000 of them, or all."""

PROBE_VERSION = 4
"""Version of the probes: raise it when a probe changes, and stored measures are made again."""


def _list_probe_metrics(inputs: tuple[str, ...]) -> tuple[str, ...]:
    return (
        *(f"probe/{probe}_{codes}_{labels}_accuracy" for probe in PROBES for codes in inputs for labels in LABEL_SETS),
        *(f"probe/report_coded_{codes}_{labels}_dead_logits" for codes in inputs for labels in LABEL_SETS),
        *(f"probe/linear_{codes}_{labels}_c" for codes in inputs for labels in LABEL_SETS),
    )


NUM_PROBED = ("probe/num_images", "probe/num_knn_images")
"""Numbers of test images that accuracies are taken over: of all probes but knn, and of knn."""

PROBE_METRICS = (*_list_probe_metrics(INPUTS), *NUM_PROBED)
"""Metrics of `models.measures.probes.run_probes`: accuracies from 0 to 1, numbers of dead logits, C, and NUM_PROBED."""

CONTROL_METRICS = ("probe/num_on", *_list_probe_metrics(CONTROL_INPUTS))
"""Metrics of `models.measures.probes.run_control_probes`: the number of latents that are ever on, and the same."""

EDIT_METRICS = (
    *("edit/class_kept", "edit/class_kept_other", "edit/class_kept_beyond_other"),
    *("edit/changed_pixels", "edit/changed_pixels_other", "edit/changed_pixels_beyond_other"),
    "edit/pixel_probe_accuracy",
)
"""Metrics of `models.measures.edits.measure_edits`, shares from 0 to 1."""

EXHIBITS_VERSION = 2
"""Version of the arrays of `models.measures.exhibits`, likewise."""

EDITS_VERSION = 3
"""Version of the edits: raise it when an edit changes, and stored measures are made again."""


DISENTANGLEMENT_SCORES = (
    *("factor_vae", "beta_vae", "mig", "sap", "modularity", "explicitness"),
    *("info_modularity", "info_explicitness", "info_compactness"),
)
"""Scores of `models.measures.disentanglement.scores.measure_scores`, from 0 to 1."""

DCI_SCORES = ("dci_disentanglement", "dci_completeness", "dci_informativeness")
"""Scores of `models.measures.disentanglement.scores.measure_dci`, from 0 to 1."""

REFERENCES = ("", "_floor", "_ceiling")
"""Whose score it is: that of the model's code, of noise with as many latents, or of the factors themselves."""


def _list_scores(scores: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"disentanglement/{score}{reference}" for score in scores for reference in REFERENCES)


DISENTANGLEMENT_METRICS = (
    *("disentanglement/num_active", "disentanglement/num_images"),
    *_list_scores(DISENTANGLEMENT_SCORES),
)
"""The number of active latents, that of the images encoded, and each score with its floor and its ceiling."""

DCI_METRICS = _list_scores(DCI_SCORES)

DISENTANGLEMENT_VERSION = 2
"""Version of these measures: raise it when a score changes, and stored measures are made again."""
