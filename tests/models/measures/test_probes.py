"""Classifiers on frozen codes: against plain torch and scikit-learn, on codes that are easy, and on noise."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from models.build import build_model
from models.measures import probes
from models.measures.metric_names import PROBE_METRICS
from models.measures.probes import run_probes
from models.measures.probes.codes import standardise, whiten
from models.measures.probes.knn import NUM_NEIGHBOURS, classify_by_neighbours
from models.measures.probes.linear import GRID, choose_c, classify_linearly, fit_logistic
from models.measures.probes.mlp import classify_by_mlp
from models.measures.probes.reproduction import (
    BATCH_SIZE,
    EPOCHS,
    LEARNING_RATE,
    MOMENTUM,
    ReproductionProbes,
    classify_as_in_reproduction,
)
from models.settings import TrialSettings

NUM_CLASSES = 3


def make_codes(num: int, *, seed: int, spread: float = 0.5, num_inputs: int = 1) -> tuple[Tensor, Tensor]:
    """Codes around a centre for each class, with the ones behind them: (N, K, 4 + 1), and classes (N,)."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(num) % NUM_CLASSES
    centres = 3 * torch.eye(4)[:NUM_CLASSES]
    x = centres[y][:, None] + spread * torch.randn(num, num_inputs, 4, generator=generator)
    return torch.cat([x, torch.ones(num, num_inputs, 1)], 2), y


def test_the_reports_probes_take_the_steps_of_plain_torch() -> None:
    x, y = make_codes(3 * BATCH_SIZE - 5, seed=0)
    probes = ReproductionProbes(1, 4, 8, NUM_CLASSES, seed=0)
    with torch.random.fork_rng(devices=[]):
        coded = nn.Linear(4, NUM_CLASSES)
        written = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, NUM_CLASSES))
    first, second = written[0], written[2]
    with torch.no_grad():
        for layer, rows in ((first, probes.first[0, :8]), (coded, probes.first[0, 8:]), (second, probes.second[0])):
            layer.weight.copy_(rows[:, :-1])
            layer.bias.copy_(rows[:, -1])
    optimizers = [torch.optim.SGD(net.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM) for net in (coded, written)]
    targets = nn.functional.one_hot(y, NUM_CLASSES).float()
    for epoch in range(3):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(epoch))
        for batch in order.split(BATCH_SIZE):
            with torch.inference_mode():
                probes.step(x, targets, batch)
            for optimizer in optimizers:
                optimizer.zero_grad()
            nn.functional.cross_entropy(coded(x[batch, 0, :-1]).relu(), y[batch]).backward()
            nn.functional.cross_entropy(written(x[batch, 0, :-1]), y[batch]).backward()
            for optimizer in optimizers:
                optimizer.step()
    with torch.no_grad():
        torch.testing.assert_close(probes.compute_coded(x)[0], coded(x[:, 0, :-1]).relu(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(probes.compute_written(x)[0], written(x[:, 0, :-1]), rtol=1e-4, atol=1e-5)


def test_the_reports_probes_take_the_images_in_another_order_in_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[list[int]] = []
    monkeypatch.setattr(ReproductionProbes, "step", lambda _, x, targets, batch: orders.append(batch.tolist()))
    x, y = make_codes(BATCH_SIZE, seed=0)
    classify_as_in_reproduction(x, y, x, num_classes=NUM_CLASSES, width=8, seed=0)
    assert [sorted(order) for order in orders] == [list(range(BATCH_SIZE))] * EPOCHS
    assert len(set(map(tuple, orders))) == EPOCHS


@torch.inference_mode()
def test_a_logit_that_no_image_passes_is_dead_and_its_class_is_not_predicted() -> None:
    x, y = torch.zeros(200, 1, 5), torch.arange(200) % 10
    x[:, :, -1] = 1.0  # empty codes: a logit is its bias, and one that begins below zero never learns
    biases = ReproductionProbes(1, 4, 8, 10, seed=0).first[0, 8:, -1]
    dead = set((biases <= 0).nonzero().flatten().tolist())
    assert 0 < len(dead) < 10
    coded, _, num_dead = classify_as_in_reproduction(x, y, x, num_classes=10, width=8, seed=0)
    assert int(num_dead[0]) == len(dead)
    assert dead.isdisjoint(coded[0].tolist())


@torch.inference_mode()
def test_a_logit_is_dead_where_it_stops_most_images_of_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.measures.probes.reproduction.EPOCHS", 0)
    first = ReproductionProbes(1, 4, 8, NUM_CLASSES, seed=0).first[0, 8:]
    x = torch.cat([torch.zeros(9, 4), torch.ones(9, 1)], 1)  # of each class three images
    y = torch.arange(9) // 3
    own = first[:, :-1] / first[:, :-1].square().sum(1, keepdim=True)  # a code that adds one to its class's logit

    def place(code: Tensor, bias: Tensor, logit: float) -> Tensor:
        return torch.cat([code * (logit - bias), torch.ones(1)])

    for image, logit in enumerate([-1.0, -1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0]):
        x[image] = place(own[y[image]], first[y[image], -1], logit)
    _, _, num_dead = classify_as_in_reproduction(x[:, None], y, x[:, None], num_classes=NUM_CLASSES, width=8, seed=0)
    assert num_dead.tolist() == [2]  # of three images, one, two and none pass


@torch.inference_mode()
def test_neighbours_vote_as_scikit_learns_do() -> None:
    (x, y), (test, _) = make_codes(120, seed=0, spread=2.0), make_codes(60, seed=1, spread=2.0)
    (ours,) = classify_by_neighbours(x, y, test, num_classes=NUM_CLASSES)
    reference = KNeighborsClassifier(NUM_NEIGHBOURS, algorithm="brute").fit(x[:, 0, :-1].numpy(), y.numpy())
    assert ours.tolist() == reference.predict(test[:, 0, :-1].numpy()).tolist()


@torch.inference_mode()
def test_the_linear_probe_is_the_logistic_regression_of_scikit_learn() -> None:
    (x, y), (test, _) = make_codes(200, seed=0, spread=2.0), make_codes(500, seed=1, spread=2.0)
    train, test = standardise(x, test)
    (ours,), (c,) = classify_linearly(train, y, test)
    reference = LogisticRegression(C=float(c), max_iter=10_000, tol=1e-8)
    reference.fit(train[:, 0, :-1].double().numpy(), y.numpy())
    theirs = reference.predict(test[:, 0, :-1].double().numpy())
    assert np.mean(ours.numpy() == theirs) >= 0.995  # a point on the border may fall to either side


@torch.inference_mode()
@pytest.mark.parametrize("spread", [0.5, 3.0, 20.0])
def test_c_is_that_of_least_cross_entropy_on_images_held_out_of_training(spread: float) -> None:
    """By a choice written out with scikit-learn's fits: a fifth of each class, no test image."""
    x, y = make_codes(200, seed=0, spread=spread)
    train, _ = standardise(x, x)
    codes, classes = train[:, 0, :-1].double().numpy(), y.numpy()
    held_out = np.sort(np.argsort(classes, kind="stable")[2::5])
    kept = np.setdiff1d(np.arange(len(classes)), held_out)
    losses = {}
    for c in GRID:
        fit = LogisticRegression(C=c, max_iter=10_000, tol=1e-8).fit(codes[kept], classes[kept])
        losses[c] = log_loss(classes[held_out], fit.predict_proba(codes[held_out]))
    _, y = y.unique(return_inverse=True)
    chosen = choose_c(train[:, 0].contiguous(), y, int(y.max()) + 1)
    assert losses[chosen] == pytest.approx(min(losses.values()), abs=2e-3)
    assert chosen == choose_c(train[:, 0].contiguous(), y, int(y.max()) + 1)


@torch.inference_mode()
def test_many_nearly_collinear_codes_are_read_like_what_they_are_made_of() -> None:
    """In float32 their second moments have negative eigenvalues, below a weak penalty."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(20_000, 2, generator=generator)
    y = (factors @ torch.randn(2, NUM_CLASSES, generator=generator)).argmax(1)
    y = y.where(torch.rand(len(y), generator=generator) < 0.8, torch.arange(len(y)) % NUM_CLASSES)
    ones, losses = torch.ones(len(y), 1), []
    for codes in (factors, factors @ torch.randn(2, 50, generator=generator)):
        (x, _) = standardise(torch.cat([codes, ones], 1)[:, None], torch.cat([codes, ones], 1)[:, None])
        weights = fit_logistic(x[:, 0].contiguous(), y, NUM_CLASSES, c=100.0)
        losses.append(float(nn.functional.cross_entropy(x[:, 0] @ weights.T, y)))
    assert losses[1] == pytest.approx(losses[0], abs=1e-3)


@torch.inference_mode()
def test_the_noisier_the_codes_the_stronger_the_penalty() -> None:
    chosen = []
    for spread in (0.5, 20.0):
        x, y = make_codes(200, seed=0, spread=spread)
        _, (c,) = classify_linearly(standardise(x, x)[0], y, x)
        chosen.append(float(c))
    assert chosen[0] > chosen[1]


@torch.inference_mode()
@pytest.mark.parametrize(("spread", "low", "high"), [(0.3, 0.99, 1.0), (1e4, 0.15, 0.55)])
def test_probes_read_codes_that_are_easy_and_guess_at_noise(spread: float, low: float, high: float) -> None:
    (x, y), (test, truth) = make_codes(600, seed=0, spread=spread), make_codes(300, seed=1, spread=spread)
    knn = classify_by_neighbours(x, y, test, num_classes=NUM_CLASSES)
    x, test = standardise(x, test)
    found = [knn, classify_linearly(x, y, test)[0], classify_by_mlp(x, y, test, num_classes=NUM_CLASSES, seed=0)]
    for predictions in found:
        assert low <= float((predictions[0] == truth).double().mean()) <= high


@torch.inference_mode()
def test_standardised_codes_have_mean_zero_and_variance_one_but_for_constants() -> None:
    x, _ = make_codes(100, seed=0)
    x[:, :, 1] = 7.0
    train, _ = standardise(x, x)
    assert train[:, 0, 0].mean() == pytest.approx(0, abs=1e-5)
    assert train[:, 0, 0].var(correction=0) == pytest.approx(1, abs=1e-4)
    assert train[:, 0, 1].abs().max() < 1e-4
    assert (train[:, :, -1] == 1).all()


@torch.inference_mode()
def test_whitened_codes_vary_alike_in_all_directions_but_for_constants() -> None:
    common = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    own = torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    codes = torch.cat([5 * common + own, torch.full((500, 1), 7.0)], 1)  # three go together, one is constant
    x = torch.cat([codes, torch.ones(500, 1)], 1)[:, None]
    standardised = standardise(x, x[:50])
    train, test = whiten(*standardised)
    variances = torch.linalg.eigvalsh(torch.cov(train[:, 0, :-1].T)).tolist()
    assert variances[0] == pytest.approx(0, abs=1e-6)
    assert all(0.2 < value < 1.0 for value in variances[1:])  # before, the least was 0.04 of the largest 2.9
    assert torch.linalg.eigvalsh(torch.cov(standardised[0][:, 0, :3].T))[0] < 0.05
    torch.testing.assert_close(train[:50], test)
    assert (train[:, :, -1] == 1).all()


@torch.inference_mode()
def test_the_network_reads_codes_whose_entries_go_together() -> None:
    def make(num: int, seed: int) -> tuple[Tensor, Tensor]:
        x, y = make_codes(num, seed=seed)
        common = 1_000 * torch.randn(num, 1, 1, generator=torch.Generator().manual_seed(seed + 10))
        return torch.cat([x[..., :-1] + common, x[..., -1:]], 2), y

    (x, y), (test, truth) = make(2_000, 0), make(500, 1)
    x, test = whiten(*standardise(x, test))
    (predictions,) = classify_by_mlp(x, y, test, num_classes=NUM_CLASSES, seed=0)
    assert float((predictions == truth).double().mean()) > 0.95


@torch.inference_mode()
def test_the_network_learns_from_images_that_are_not_held_out_by_steps_that_shrink_to_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, rates = set[float](), list[float]()

    def watch(weights: list[Tensor], x: Tensor, _: Tensor) -> list[Tensor]:
        seen.update(x[0, :, 0].tolist())
        return weights

    def step_adam(*_: object, learning_rate: Tensor, **__: object) -> None:
        rates.append(float(learning_rate))

    monkeypatch.setattr("models.measures.probes.mlp.STEPS", 60)
    monkeypatch.setattr("models.measures.probes.mlp._compute_gradients", watch)
    monkeypatch.setattr("models.measures.probes.mlp.step_adam", step_adam)
    x, y = make_codes(50, seed=0)
    x[:, 0, 0] = torch.arange(50)
    classify_by_mlp(x, y, x, num_classes=NUM_CLASSES, seed=0)
    assert seen == set(range(45))  # the last tenth is held out
    assert rates == pytest.approx([6e-3 * left / 60 for left in range(60, 0, -1)])


@torch.inference_mode()
def test_of_many_test_images_the_neighbours_of_some_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def watch(x: Tensor, y: Tensor, test: Tensor, *, num_classes: int) -> Tensor:
        asked.append(len(test))
        return classify_by_neighbours(x, y, test, num_classes=num_classes)

    monkeypatch.setattr(probes, "classify_by_neighbours", watch)
    everything = measure()
    monkeypatch.setattr(probes, "NUM_KNN_IMAGES", 20)
    some = measure()
    assert asked == [60, 20]
    for name, value in some.items():
        assert (20 * value) % 1 == pytest.approx(0, abs=1e-9) if "knn" in name else value == everything[name]


def measure(model: str = "vsc", *, seed: int = 0, num: int = 150, first_class: int = 0) -> dict[str, float]:
    alpha = 0.3 if model == "vsc" else None
    built = build_model(TrialSettings(model=model, latent_dim=4, alpha=alpha, hidden=(8,)), (1, 4, 4))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (num + 60, 1, 4, 4), generator=generator, dtype=torch.uint8)
    labels = torch.arange(num + 60) % 5 + first_class
    return run_probes(built, images[:num], labels[:num], images[num:], labels[num:], seed=seed, width=8)


@pytest.mark.parametrize("model", ["vae", "vsc"])
def test_every_probe_input_and_label_set_has_its_number(model: str) -> None:
    metrics = measure(model)
    assert tuple(metrics) == PROBE_METRICS
    assert all(0 <= value <= 1 for name, value in metrics.items() if name.endswith("accuracy"))


@pytest.fixture(scope="module")
def plain() -> dict[str, float]:
    return measure()


def test_the_same_seed_gives_the_same_numbers_and_another_others(plain: dict[str, float]) -> None:
    assert measure() == plain
    assert measure(seed=1) != plain


def test_classes_are_those_that_there_are_from_whichever_number_on(plain: dict[str, float]) -> None:
    """As of the drawn faces, where 0 stands for an attribute that a face does not have."""
    assert measure(first_class=1) == plain


def test_a_gaussian_code_has_one_mean_under_two_names() -> None:
    metrics = measure("vae")
    for name, value in metrics.items():
        if "_gamma_mu_" in name:
            assert value == metrics[name.replace("_gamma_mu_", "_mu_")]


@pytest.mark.parametrize("num", [7, 150])
def test_with_few_images_all_labels_are_the_few(num: int) -> None:
    metrics = measure(num=num)
    for name, value in metrics.items():
        if "_5k_" in name:
            assert value == metrics[name.replace("_5k_", "_all_")]


def test_the_few_labels_are_those_of_the_label_set_5k_alone(
    plain: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "NUM_FEW_LABELS", 60)
    both = measure()
    changed = [name for name in both if both[name] != plain[name]]
    assert changed
    assert all("_5k_" in name for name in changed)
