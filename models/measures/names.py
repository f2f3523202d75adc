"""What the classifiers on codes and the edits of codes are called. Apart from them, as names need no torch."""

PROBES = ("report_coded", "report_written", "linear", "mlp", "knn")
INPUTS = ("mu", "gamma_mu", "z")
LABEL_SETS = ("5k", "all")
PROBE_VERSION = 3
"""Raised when a probe comes to measure otherwise: what older code measured is then measured again."""

PROBE_METRICS = (
    *(f"probe/{probe}_{codes}_{labels}_accuracy" for probe in PROBES for codes in INPUTS for labels in LABEL_SETS),
    *(f"probe/report_coded_{codes}_{labels}_dead_logits" for codes in INPUTS for labels in LABEL_SETS),
)
EDIT_METRICS = (
    *("edit/class_kept", "edit/changed_pixels", "edit/changed_pixels_beyond_other"),
    "edit/pixel_probe_accuracy",
)
EDITS_VERSION = 2
"""Likewise, of the edits."""
