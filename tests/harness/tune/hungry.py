"""A network for tests, as a plug-in: one that has a certain number of latents finds no memory while others train."""

import itertools
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from harness.plugins import Registry
from models.choices import ImageShape
from models.settings import TrialSettings

HUNGRY = 5  # latents
FOLDER = Path("FOLDER")  # where those that train leave word; a test writes it here
TAKES = "TAKES"  # "memory", for real; "an error" alone; or "an error in a crowd", of any number of latents
CROWD = 2  # networks that one process has memory for
FRESH_SECONDS = 0.6

steps = itertools.count()  # of all networks of this process
last_steps: dict[int, int] = {}  # by network, each of which has its first step as its name


class Encoder(nn.Module):
    """One layer, which looks around."""

    def __init__(self, num_pixels: int, num_heads: int, latent_dim: int) -> None:
        super().__init__()
        self.shape = num_heads, latent_dim
        self.layer = nn.Linear(num_pixels, num_heads * latent_dim)
        self.has_looked = False
        self.name: int | None = None

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, num_heads, latent_dim)
        if TAKES == "an error in a crowd":
            self.count()
        elif self.shape[1] == HUNGRY and not self.has_looked:
            self.look()
        elif self.training:
            (FOLDER / str(os.getpid())).touch()
        return self.layer(x.flatten(1)).view(-1, *self.shape)

    def count(self) -> None:
        """Find no memory where too many others of this process have trained since this one last did."""
        if self.training:
            now = next(steps)
            self.name = now if self.name is None else self.name
            before = last_steps.get(self.name, now)
            last_steps[self.name] = now
            if sum(step > before for step in last_steps.values()) >= CROWD:
                raise MemoryError("no room")

    def look(self) -> None:
        """Take more memory than there is beside others."""
        time.sleep(2 * FRESH_SECONDS)
        others = [word for word in FOLDER.iterdir() if word.name != str(os.getpid())]
        if any(time.time() - word.stat().st_mtime < FRESH_SECONDS for word in others):
            if TAKES == "an error":
                raise MemoryError("no room")
            taken = []
            for _ in range(300):
                taken.append(np.ones(20_000_000, np.uint8))
                time.sleep(0.02)
        self.has_looked = True


def build(
    settings: TrialSettings, image_shape: ImageShape, generator: torch.Generator | None
) -> tuple[nn.Module, nn.Module]:
    num_pixels = int(np.prod(image_shape))
    decoder = nn.Sequential(nn.Linear(settings.latent_dim, num_pixels), nn.Unflatten(-1, image_shape))
    return Encoder(num_pixels, settings.parts.num_heads, settings.latent_dim), decoder


def register(registry: Registry) -> None:
    registry.add_network("hungry", build)
