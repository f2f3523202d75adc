import pytest

from analysis.metrics import METRICS, Metric, metric_of
from harness.metrics import COST_METRICS, EVALUATION_METRICS, TEST_METRICS, TRAIN_METRICS, VALIDATION_METRICS
from models.measures.metric_names import EDIT_METRICS, GRADIENT_METRICS, PROBE_METRICS, SPARSITY_METRICS

OF_EVALUATIONS = [name for names in EVALUATION_METRICS.values() for name in names]
MEASURED = sorted({*TRAIN_METRICS, *TEST_METRICS, *VALIDATION_METRICS, *COST_METRICS, *OF_EVALUATIONS})


def test_something_is_known_of_every_metric_that_a_trial_measures() -> None:
    assert [name for name in MEASURED if metric_of(name) == Metric()] == []


def test_every_metric_that_is_known_is_measured() -> None:
    assert set(METRICS) <= {name.rpartition("/")[2] for name in [*MEASURED, "peak_memory_mb"]}


def test_of_the_gradient_of_an_estimator_yet_to_come_as_much_is_known_as_of_the_others() -> None:
    assert metric_of("gradient/arm_noise") == metric_of("gradient/disarm_noise") != Metric()


def test_nothing_is_known_of_another() -> None:
    assert metric_of("test/of_a_plug_in") == Metric()


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("val/elbo", "nats per image"),
        ("train_seconds", "seconds"),
        ("code/nonzero_fraction", "of the latents"),
        ("code/hoyer", ""),
        ("code/gate_information", "nats"),
    ],
)
def test_a_number_has_its_unit_or_what_it_is_a_share_of(metric: str, text: str) -> None:
    assert metric_of(metric).unit_or_whole == text


@pytest.mark.parametrize("metric", [*SPARSITY_METRICS, *GRADIENT_METRICS, *EDIT_METRICS, *PROBE_METRICS])
def test_each_metric_of_codes_and_edits_has_limits(metric: str) -> None:
    """All are shares, differences of shares, counts or lengths, but for C, which is positive."""
    low, high = metric_of(metric).limits
    of_edits = metric.startswith("edit/")
    assert low == (-1 if metric.endswith("beyond_other") else 0)
    assert high == 1 or not of_edits


@pytest.mark.parametrize("of", ["probe/report_coded_mu_5k_dead_logits", "probe/report_coded_mu_on_all_dead_logits"])
def test_fewer_dead_logits_and_fewer_changed_pixels_are_better(of: str) -> None:
    assert of in (*EVALUATION_METRICS["probe"], *EVALUATION_METRICS["probe_controls"])
    assert metric_of(of).mode == metric_of("edit/changed_pixels").mode == "min"
