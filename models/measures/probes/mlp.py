"""The probe mlp: a wide hidden layer and early stopping, as "[Re] Variational Sparse Coding" suggests."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from models.measures.probes.codes import make_layer
from models.numerics.adam import step_adam
from models.randomness import make_stream

WIDTH = 256  # hidden units
BATCH_SIZE = 128  # images
LEARNING_RATE = 6e-3
"""Learning rate of the first step; it falls linearly, to 0 after the last step."""
STEPS = 1200
CHECK_EVERY = 100  # steps


def classify_by_mlp(x: Tensor, y: Tensor, test: Tensor, *, num_classes: int, seed: int) -> Tensor:
    """Predict the most probable class, (K, M), by a network with one hidden layer, trained by Adam.

    x: (N, K, D + 1) whitened, in random order. y: (N,). test: (M, K, D + 1).

    The last tenth of x is held out. Every 100 steps the cross-entropy is checked on it, and each input keeps the
    weights of its best check.
    """
    num_held_out = len(x) // 10
    held_out, held_out_y = (x[-num_held_out:], y[-num_held_out:]) if num_held_out else (x, y)
    x, targets = x[: len(x) - num_held_out], one_hot(y, num_classes).float()

    init = make_stream(seed, "probe/mlp/init")
    num_inputs = x.shape[1]
    weights = [make_layer(x.shape[2] - 1, WIDTH, init), make_layer(WIDTH, num_classes, init)]
    weights = [layer.repeat(num_inputs, 1, 1) for layer in weights]  # the same for all inputs
    moments = [[torch.zeros_like(w) for w in weights] for _ in range(2)]

    best = [w.clone() for w in weights]
    least = torch.full((num_inputs,), torch.inf)
    # Batches are drawn with replacement, so that fewer images than a batch are no special case.
    batches = torch.randint(len(x), (STEPS, BATCH_SIZE), generator=make_stream(seed, "probe/mlp/batches"))
    for step, batch in enumerate(batches, start=1):
        gradients = _compute_gradients(weights, x[batch].transpose(0, 1), targets[batch])
        learning_rate = torch.tensor(LEARNING_RATE * (1 - (step - 1) / STEPS))
        step_adam(weights, gradients, *moments, count=torch.tensor(float(step)), learning_rate=learning_rate)
        if step % CHECK_EVERY == 0:
            log_p = compute_logits(weights, held_out.transpose(0, 1)).log_softmax(-1)
            loss = -log_p.gather(2, held_out_y.expand(num_inputs, -1)[..., None]).mean((1, 2))  # (K,)
            is_better = loss < least
            least = torch.where(is_better, loss, least)
            best = [torch.where(is_better[:, None, None], w, b) for w, b in zip(weights, best, strict=True)]
    return compute_logits(best, test.transpose(0, 1)).argmax(-1)


def compute_logits(weights: list[Tensor], x: Tensor) -> Tensor:  # (K, N, D + 1) -> (K, N, num_classes)
    """Compute the logits of the networks."""
    first, second = weights
    return torch.bmm(_compute_hidden(first, x), second.mT)


def _compute_gradients(weights: list[Tensor], x: Tensor, targets: Tensor) -> list[Tensor]:
    """Compute the mean cross-entropy's gradients by the weights. x: (K, B, D + 1). targets: (B, num_classes)."""
    first, second = weights
    hidden = _compute_hidden(first, x)
    error = torch.bmm(hidden, second.mT).softmax(-1).sub_(targets).div_(len(targets))
    hidden_error = torch.bmm(error, second[..., :-1]).mul_(hidden[..., :-1] > 0)
    return [torch.bmm(hidden_error.mT, x), torch.bmm(error.mT, hidden)]


def _compute_hidden(first: Tensor, x: Tensor) -> Tensor:  # -> (K, N, WIDTH + 1), last a one
    hidden = x.new_ones(*x.shape[:2], first.shape[1] + 1)
    torch.clamp_min(torch.bmm(x, first.mT), 0, out=hidden[..., :-1])
    return hidden
