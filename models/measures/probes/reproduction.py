"""The probes report_coded and report_written: the classifiers of "[Re] Variational Sparse Coding", the reproduction.

The reproduction's code has one linear layer, with a ReLU on its logits before the cross-entropy. Its text has two fully
connected layers. Both train by stochastic gradient descent on codes that are not standardised.
"""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from models.measures.probes.codes import make_layer
from models.randomness import make_stream

EPOCHS = 20
BATCH_SIZE = 32  # images
LEARNING_RATE = 1e-3
MOMENTUM = 0.9


def classify_as_in_reproduction(
    x: Tensor,  # (N, K, D + 1): K inputs side by side, a one behind each code
    y: Tensor,  # (N,) int64
    test: Tensor,  # (M, K, D + 1)
    *,
    num_classes: int,
    width: int,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Predict classes as coded and as written, each (K, M), and count the dead logits as coded, (K,).

    A logit is dead if its ReLU is 0 on most training images of its class: on those it has no gradient, the other images
    push it further down, and the class is hardly ever predicted. If all logits of an image are 0, the first class is
    predicted, as in the reproduction's code.
    """
    probes = ReproductionProbes(x.shape[1], x.shape[2] - 1, width, num_classes, seed=seed)
    targets = one_hot(y, num_classes).float()
    for epoch in range(EPOCHS):
        order = torch.randperm(len(x), generator=make_stream(seed, "probe/report/order", epoch))
        for batch in order.split(BATCH_SIZE):
            probes.step(x, targets, batch)
    num_passed = ((probes.compute_coded(x) > 0) * targets).sum(1)  # (K, num_classes)
    dead = num_passed < 0.5 * targets.sum(0)
    return probes.compute_coded(test).argmax(2), probes.compute_written(test).argmax(2), dead.sum(1)


class ReproductionProbes:
    """Both probes on K inputs: 2 K networks that train on the same batches.

    The hidden layer of report_written and the layer of report_coded are one product. Gradients are written out and
    buffers kept, because each of 37,500 steps may take a quarter of a millisecond.
    """

    def __init__(self, num_inputs: int, latent_dim: int, width: int, num_classes: int, *, seed: int) -> None:
        coded, written = (make_stream(seed, f"probe/report_{name}/init") for name in ("coded", "written"))
        hidden = make_layer(latent_dim, width, written)
        # All inputs start from the same weights, so that only the codes make a difference.
        first = torch.cat([hidden, make_layer(latent_dim, num_classes, coded)])
        self.first = first.repeat(num_inputs, 1, 1)  # (K, width + num_classes, latent_dim + 1)
        self.second = make_layer(width, num_classes, written).repeat(num_inputs, 1, 1)  # (K, num_classes, width + 1)
        self.velocities = torch.zeros_like(self.first), torch.zeros_like(self.second)
        self.width = width
        self._buffers: dict[int, _Buffers] = {}

    def step(self, x: Tensor, targets: Tensor, batch: Tensor) -> None:
        """Take a step on the mean cross-entropy of a batch: rows of x (N, K, D + 1), targets (N, num_classes)."""
        size = len(batch)
        if size not in self._buffers:
            self._buffers[size] = _Buffers(self, size)
        b = self._buffers[size]
        torch.index_select(x, 0, batch, out=b.rows)
        torch.index_select(targets, 0, batch, out=b.targets)

        torch.bmm(b.x, self.first.mT, out=b.sums)
        torch.clamp_min(b.hidden_sums, 0, out=b.hidden)
        torch.clamp_min(b.coded_sums, 0, out=b.coded_logits)
        torch.bmm(b.hidden_and_one, self.second.mT, out=b.written_logits)

        torch.softmax(b.logits, -1, out=b.errors).sub_(b.targets)
        torch.bmm(b.written_errors, self.second[..., :-1], out=b.hidden_errors)
        _pass_where_positive(b.hidden_errors, b.hidden_sums, 0, grad_input=b.hidden_gradient)
        _pass_where_positive(b.coded_errors, b.coded_sums, 0, grad_input=b.coded_gradient)

        first_velocity, second_velocity = self.velocities
        first_velocity.baddbmm_(b.gradient.mT, b.x, beta=MOMENTUM, alpha=1 / size)
        second_velocity.baddbmm_(b.written_errors.mT, b.hidden_and_one, beta=MOMENTUM, alpha=1 / size)
        self.first.add_(first_velocity, alpha=-LEARNING_RATE)
        self.second.add_(second_velocity, alpha=-LEARNING_RATE)

    def compute_coded(self, x: Tensor) -> Tensor:  # (N, K, D + 1) -> (K, N, num_classes)
        """Compute the logits of report_coded, after their ReLU."""
        return torch.bmm(x.transpose(0, 1), self.first[:, self.width :].mT).relu_()

    def compute_written(self, x: Tensor) -> Tensor:  # (N, K, D + 1) -> (K, N, num_classes)
        """Compute the logits of report_written."""
        hidden = torch.bmm(x.transpose(0, 1), self.first[:, : self.width].mT).relu_()
        return torch.baddbmm(self.second[:, None, :, -1], hidden, self.second[..., :-1].mT)


_pass_where_positive = torch.ops.aten.threshold_backward.grad_input


class _Buffers:
    """The intermediate results of a step, for one size of batch."""

    def __init__(self, probes: ReproductionProbes, size: int) -> None:
        num_inputs, num_classes, width = *probes.second.shape[:2], probes.width
        self.rows = torch.empty(size, num_inputs, probes.first.shape[2])
        self.x = self.rows.transpose(0, 1)  # (K, B, D + 1)
        self.targets = torch.empty(size, num_classes)

        self.sums = torch.empty(num_inputs, size, width + num_classes)  # of the first layer, before any ReLU
        self.hidden_sums, self.coded_sums = self.sums.split([width, num_classes], 2)
        self.hidden_and_one = torch.ones(num_inputs, size, width + 1)
        self.hidden = self.hidden_and_one[..., :-1]
        self.logits = torch.empty(2, num_inputs, size, num_classes)
        self.coded_logits, self.written_logits = self.logits.unbind()

        self.errors = torch.empty_like(self.logits)  # the gradient at the logits, times the batch's size
        self.coded_errors, self.written_errors = self.errors.unbind()
        self.hidden_errors = torch.empty(num_inputs, size, width)
        self.gradient = torch.empty_like(self.sums)
        self.hidden_gradient, self.coded_gradient = self.gradient.split([width, num_classes], 2)
