"""faces: 120,000 drawn faces in colour, which anyone can make: a stand-in for CelebA that needs no download of images.

DiceBear's style Pixel Art (CC0 1.0) draws a face for each number; what a face has (glasses, a hat, a beard) is
often absent, which is what a spike-and-slab prior says of its latents. It takes the extra `faces`.
"""

import io
import json
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.datasets.packed import ImageArray
from harness.errors import InputError

STYLE = "pixel-art"

VERSIONS = {"dicebear-core": "10.7.0", "dicebear-styles": "10.6.0", "resvg-py": "0.5.0"}
"""The packages that draw; other versions may draw other faces."""

ABSENT = 0
"""The class of an attribute that a face does not have."""

ATTRIBUTES = (
    *(f"{name}Color" for name in ("accessories", "clothing", "eyes", "glasses", "hair", "hat", "mouth", "skin")),
    *(f"{name}Variant" for name in ("accessories", "beard", "clothes", "eyes", "glasses", "hair", "hat", "mouth")),
)
"""What is known of each face, as DiceBear's options name it."""


@dataclass(frozen=True)
class Faces:
    """The drawn faces at one size."""

    name: str
    side: Literal[32, 64]
    sha256: str | None
    num_train: int = 100_000
    num_test: int = 20_000
    num_at_once: int = 1_000

    is_packed = False
    attributes = ATTRIBUTES
    factors = ()
    label = "skinColor"  # 8 classes, each of an eighth of the faces
    verb = "drawn"

    @property
    def content_hash(self) -> str:
        """See Dataset.content_hash."""
        return self.sha256 or f"{STYLE} {self.side} {self.num_train} {self.num_test}"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return 3, self.side, self.side

    def find_painter(self, data_dir: Path | None) -> "Faces":  # noqa: ARG002
        """See MapSpec."""
        for package, version in VERSIONS.items():
            try:
                found = metadata.version(package)
            except metadata.PackageNotFoundError:
                found = "absent"
            if found != version:
                raise InputError(
                    f"{self.name} is drawn by {package} {version}, which is {found} here; "
                    "run: pip install 'spikeslab[faces]'"
                )
        return self

    def paint(self, numbers: range, images: ImageArray, attributes: NDArray[np.uint8]) -> None:
        """See Painter."""
        drawer = FaceDrawer(self.side)
        for number in numbers:
            face, chosen = drawer.draw(number)
            images[number] = face.transpose(2, 0, 1)
            attributes[number] = chosen


class FaceDrawer:
    """Draws the face of a number, always the same."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._style, self._classes = _load_style()

    def draw(self, number: int) -> tuple[NDArray[np.uint8], list[int]]:
        """The face (side, side, 3) on white, and the class of each attribute: 1, 2, ..., or ABSENT."""
        import resvg_py
        from dicebear import Avatar
        from PIL import Image

        avatar = Avatar(self._style, {"seed": str(number), "size": self._side})
        png = resvg_py.svg_to_bytes(svg_string=avatar.to_string(), background="white", skip_system_fonts=True)
        face = np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"))
        options = avatar.to_json()["options"]
        chosen = {name: options.get(name) for name in self._classes}
        values = [value[0] if isinstance(value, list) else value for value in chosen.values()]  # a colour is in a list
        return face, [known.get(value, ABSENT) for known, value in zip(self._classes.values(), values, strict=True)]


@cache  # the style is checked as it is made, which takes a second
def _load_style() -> tuple[Any, dict[str, dict[str, int]]]:
    """The style of DiceBear, and for each of its attributes the class of each value."""
    from dicebear import Style

    definition = json.loads(files("dicebear_styles").joinpath(f"{STYLE}.json").read_text("utf-8"))
    colours, components = definition["colors"], definition["components"]
    values = {f"{name}Color": colours[name]["values"] for name in sorted(colours)}
    values |= {f"{name}Variant": list(components[name]["variants"]) for name in sorted(components)}
    classes = {name: {value: k for k, value in enumerate(own, start=1)} for name, own in values.items()}
    return Style(definition), classes
