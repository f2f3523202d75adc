"""celeba: 202,599 photographs of faces (Liu, Luo, Wang and Tang, 2015), which the user brings, laid as by torchvision.

Each is prepared as in the reproduction: the middle 178x178 pixels, made small by PIL's bilinear filter.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.datasets.locations import ENVIRONMENT_VARIABLE, search_roots
from harness.datasets.packed import ImageArray
from harness.errors import InputError, first_line

IMAGES_FOLDER, ATTRIBUTES_FILE, PARTITION_FILE = "img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"
MD5 = {
    ATTRIBUTES_FILE: "75e246fa4810816ffd6ee81facbd244c",
    PARTITION_FILE: "d32c9cbf5e040fd4025c592c306e6668",
}

WIDTH, HEIGHT = 178, 218  # pixels of each photograph, of which the middle square is used
SPLIT_SEED = 42

# fmt: off
ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes",
    "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling",
    "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace",
    "Wearing_Necktie", "Young",
)
# fmt: on


@dataclass(frozen=True)
class CelebA:
    """The photographs at one size and in one split.

    split: "report": 100,000 to train on and 20,000 for the test, by seed, as the reproduction; "official": parts 0 and
    2 of the authors' partition, whose part 1 is left out.
    """

    name: str
    side: Literal[32, 64]
    split: Literal["report", "official"]
    num_train: int
    num_test: int

    is_packed = False
    attributes = ATTRIBUTES
    factors = ()
    label = "Smiling"  # 48% of the faces do
    verb = "read"
    sha256 = None  # not known: decoders of JPEG may round differently

    @property
    def content_hash(self) -> str:
        """See Dataset.content_hash: of what the images are made of, and how."""
        recipe = "celeba", self.split, self.side, self.num_train, self.num_test, *sorted(MD5.items())
        return hashlib.sha256(repr(recipe).encode()).hexdigest()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return 3, self.side, self.side

    def find_painter(self, data_dir: Path | None) -> "PhotographPainter":
        """See MapSpec."""
        folder = _find_folder(self.name, data_dir)
        _check_whole(folder)
        attributes = dict(_read_list(folder / ATTRIBUTES_FILE, num_skipped=2))
        part_of = {name: int(part) for name, (part,) in _read_list(folder / PARTITION_FILE).items()}
        _check_photographs(folder / IMAGES_FOLDER, part_of)
        names = self._choose(part_of)
        # (N, 40): 1 where a face has the attribute, 0 where it has not.
        classes = np.array([attributes[name] for name in names]).astype(int) > 0
        return PhotographPainter(folder / IMAGES_FOLDER, self.side, tuple(names), classes.astype(np.uint8))

    def _choose(self, part_of: dict[str, int]) -> list[str]:
        """List the photographs for training, then those for the test, all shuffled."""
        names = sorted(part_of)
        # The legacy generator, whose shuffle NumPy promises never to change; the reproduction shuffled by it, but the
        # names in the order of its file system.
        np.random.RandomState(SPLIT_SEED).shuffle(names)
        if self.split == "report":
            return names[: self.num_train] + names[-self.num_test :]
        return [name for part in (0, 2) for name in names if part_of[name] == part]


@dataclass(frozen=True)
class PhotographPainter:
    """Reads photographs, and makes them small."""

    folder: Path
    side: int
    names: tuple[str, ...]
    attributes: NDArray[np.uint8]  # (N, 40)

    num_at_once = 1_000

    def paint(self, numbers: range, images: ImageArray, attributes: NDArray[np.uint8]) -> None:
        """See Painter."""
        for number in numbers:
            images[number] = read_photograph(self.folder / self.names[number], self.side)
        attributes[numbers.start : numbers.stop] = self.attributes[numbers.start : numbers.stop]


def read_photograph(path: Path, side: int) -> NDArray[np.uint8]:  # -> (3, side, side)
    """Read a photograph, take its middle square, and make it as small as `side`.

    Raises:
        InputError: it cannot be read, is grey, or is not 178x218.
    """
    from PIL import Image

    again = "unpack img_align_celeba.zip again"
    try:
        with Image.open(path) as image:
            image.load()
            if image.size != (WIDTH, HEIGHT):
                size, right = "x".join(map(str, image.size)), f"{WIDTH}x{HEIGHT}"
                raise InputError(f"{path} has {size} pixels, not {right}: use the aligned and cropped photographs")
            if image.mode != "RGB":
                raise InputError(f"{path} is not in colour as the others are (its mode is {image.mode}); {again}")
            top = (HEIGHT - WIDTH) // 2
            middle = image.crop((0, top, WIDTH, top + WIDTH))
            return np.asarray(middle.resize((side, side), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    except OSError as error:
        raise InputError(f"{path} is cut or is no JPEG ({first_line(error)}); {again}") from error


def _find_folder(name: str, data_dir: Path | None) -> Path:
    """Find the folder with CelebA's files; raises InputError, which says how to get it, if there is none."""
    roots = search_roots(data_dir)
    for folder in (folder for root in roots for folder in (root / "celeba", root)):
        if any(os.path.exists(folder / part) for part in (IMAGES_FOLDER, *MD5)):  # noqa: PTH110 - it may be closed to us
            return folder
    searched = ", ".join(map(str, roots))
    raise InputError(
        f"{name}: CelebA was not found in any of: {searched} (nor in celeba/ there); its authors alone hand it out: "
        f"get img_align_celeba.zip, {ATTRIBUTES_FILE} and {PARTITION_FILE} from their page, or by torchvision.datasets."
        f"CelebA(DIR, download=True), unpack the first in a folder celeba/, and name its parent with --data or "
        f"${ENVIRONMENT_VARIABLE}; or use faces, which anyone can draw"
    )


def _check_whole(folder: Path) -> None:
    """Raises InputError if the folder lacks files, or one has other contents."""
    if lacking := [part for part in (IMAGES_FOLDER, *MD5) if not (folder / part).exists()]:
        raise InputError(
            f"{folder} is incomplete: it lacks {' and '.join(lacking)}; put there what torchvision's CelebA has there"
        )
    for name, md5 in MD5.items():
        found = hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()
        if found != md5:
            raise InputError(f"{folder / name} has the wrong contents: their MD5 is {found}, not {md5}; get it again")


def _check_photographs(folder: Path, part_of: dict[str, int]) -> None:
    """Raises InputError if photographs are missing."""
    if lacking := sorted(set(part_of).difference(os.listdir(folder))):  # noqa: PTH208 - names alone, quickly
        shown = ", ".join(lacking[:3]) + (", ..." if len(lacking) > 3 else "")
        raise InputError(
            f"{folder} is incomplete: it lacks {len(lacking):,} of {len(part_of):,} photographs ({shown}); "
            "unpack img_align_celeba.zip again"
        )


def _read_list(path: Path, *, num_skipped: int = 0) -> dict[str, list[str]]:
    """Read what a file tells of each photograph, by its name."""
    lines = path.read_text(encoding="ascii").splitlines()[num_skipped:]
    return {name: values for name, *values in map(str.split, lines)}
