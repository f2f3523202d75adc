"""The loop to compare with: a VSC trained as in "[Re] Variational Sparse Coding", the reproduction, whose authors
followed PyTorch's VAE example.

A DataLoader that converts image by image, a layer for each head, autograd, torch.optim.Adam, and `.item()` every step.
It is ordinary code, made neither fast nor slow.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from models.training.state import MOMENTS, TrainState

if TYPE_CHECKING:
    from PIL.Image import Image

START_SHARPNESS, SHARPNESS_STEP = 50.0, 0.001
MIN_PROB = 1e-6


class PlainVSC(nn.Module):
    """The reproduction's fully connected VSC: one hidden layer in each half, gamma = exp(-relu(-v))."""

    def __init__(self, num_pixels: int, num_hidden: int, latent_dim: int, alpha: float) -> None:
        """Draw the parameters from torch's global generator. alpha: prior P(z != 0)."""
        super().__init__()
        self.alpha = alpha
        self.sharpness = START_SHARPNESS
        self.encode = nn.Linear(num_pixels, num_hidden)
        self.mu = nn.Linear(num_hidden, latent_dim)
        self.log_var = nn.Linear(num_hidden, latent_dim)
        self.v = nn.Linear(num_hidden, latent_dim)  # gamma = exp(-relu(-v))
        self.decode = nn.Linear(latent_dim, num_hidden)
        self.pixels = nn.Linear(num_hidden, num_pixels)

    def forward(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute x (B, pixels) -> reconstruction (B, pixels), and mu, log sigma^2, log gamma, each (B, latent_dim)."""
        hidden = functional.relu(self.encode(x))
        mu, log_var, log_gamma = self.mu(hidden), self.log_var(hidden), -functional.relu(-self.v(hidden))
        std = torch.exp(0.5 * log_var)
        eps = torch.randn(std.shape, generator=generator, device=std.device)
        eta = torch.rand(std.shape, generator=generator, device=std.device)
        z = torch.sigmoid(self.sharpness * (eta - 1 + log_gamma.exp())) * (mu + eps * std)
        return torch.sigmoid(self.pixels(functional.relu(self.decode(z)))), mu, log_var, log_gamma

    def compute_loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Compute the training objective, rate plus distortion in nats, summed over the batch; a scalar."""
        reconstruction, mu, log_var, log_gamma = self(x, generator)
        distortion = functional.binary_cross_entropy(reconstruction, x, reduction="sum")
        gamma = torch.clamp(log_gamma.exp(), MIN_PROB, 1 - MIN_PROB)
        slab = -0.5 * torch.sum(gamma * (1 + log_var - mu.pow(2) - log_var.exp()))
        on, off = gamma * torch.log(gamma / self.alpha), (1 - gamma) * torch.log((1 - gamma) / (1 - self.alpha))
        return distortion + slab + torch.sum(on + off)


def resume(model: PlainVSC, optimizer: torch.optim.Adam, state: TrainState) -> None:
    """Copy a state of our trainer into the plain loop: parameters, Adam's moments, number of steps."""
    heads = [model.mu, model.log_var, model.v]
    layers = {"encoder.layers.0": [model.encode], "encoder.layers.1": heads}
    layers |= {"decoder.layers.0": [model.decode], "decoder.layers.1": [model.pixels]}
    tensors = state.tensors()
    for name, parts in layers.items():
        for kind in ("weight", "bias"):
            stored = [f"model.{name}.{kind}", *(f"adam.{name}.{kind}.{moment}" for moment in MOMENTS)]
            pieces = zip(*(tensors[key].chunk(len(parts)) for key in stored), strict=True)
            for part, (value, *moments) in zip(parts, pieces, strict=True):
                parameter = part.get_parameter(kind)
                parameter.data.copy_(value)
                optimizer.state[parameter] = {"step": torch.tensor(float(state.step))} | {
                    moment: tensor.clone().to(parameter.device) for moment, tensor in zip(MOMENTS, moments, strict=True)
                }
    model.sharpness += SHARPNESS_STEP * state.epoch


class ImageDataset(Dataset[tuple[Tensor, int]]):
    """Images that are converted one by one when they are read, as in torchvision's datasets."""

    def __init__(self, images: Tensor) -> None:
        """images: (N, H, W) uint8, on the CPU."""
        self.images = images
        self.transform = make_transform()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return the image (1, H, W) float32 in [0, 1], and an unused label."""
        return self.transform(self.images[index]), 0


def make_transform() -> Callable[[Tensor], Tensor]:
    """Make the conversion of bytes (H, W): PIL's image and torchvision's ToTensor, or their equivalent without them."""
    if not has_torchvision():
        return _convert
    from torchvision.transforms import Compose, ToTensor

    transform: Callable[[Tensor], Tensor] = Compose([_open, ToTensor()])
    return transform


def has_torchvision() -> bool:
    """Whether torchvision and PIL can be imported."""
    try:
        import PIL.Image
        import torchvision.transforms
    except (ImportError, OSError, RuntimeError):  # a torchvision built for another torch fails in various ways
        return False
    return bool(PIL.Image and torchvision.transforms)


def _open(image: Tensor) -> "Image":  # (H, W) uint8
    from PIL.Image import fromarray

    return fromarray(image.numpy())


def _convert(image: Tensor) -> Tensor:  # (H, W) uint8 -> (1, H, W)
    """Convert bytes in the steps that ToTensor takes."""
    return image.clone().view(*image.shape, 1).permute(2, 0, 1).contiguous().to(torch.float32).div(255)


def train_plainly(
    images: Tensor,  # (N, H, W) uint8, on the CPU
    *,
    num_hidden: int,
    latent_dim: int,
    alpha: float,
    batch_size: int,
    device: torch.device | str = "cpu",
    trained: TrainState | None = None,
) -> Iterator[float]:
    """Train without end, yielding the loss of every step (nats per image).

    trained: a state of our trainer, for a VSC of this shape, to resume from; None: random parameters.
    """
    device = torch.device(device)
    # The authors use torch's global generator; separate ones cost the same and leave the global one as it is.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = PlainVSC(images[0].numel(), num_hidden, latent_dim, alpha).to(device)
    noise = torch.Generator(device).manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    if trained is not None:
        resume(model, optimizer, trained)
    # On a GPU, a worker and pinned memory, as in the example that the authors followed.
    beside_gpu: dict[str, Any] = {"num_workers": 1, "pin_memory": True} if device.type == "cuda" else {}
    order = torch.Generator().manual_seed(0)
    loader = DataLoader(ImageDataset(images), batch_size=batch_size, shuffle=True, generator=order, **beside_gpu)
    while True:
        for x, _ in loader:
            x = x.to(device).view(len(x), -1)  # noqa: PLW2901 (as everybody writes it)
            optimizer.zero_grad()
            loss = model.compute_loss(x, noise)
            loss.backward()
            optimizer.step()
            yield loss.item() / len(x)
        model.sharpness += SHARPNESS_STEP
