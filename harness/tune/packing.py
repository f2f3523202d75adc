"""Choose how many trials share a GPU: `resources: {gpu: auto}` measures their memory once, on the card."""

import gc
from collections.abc import Sequence

from harness.datasets import Dataset
from harness.errors import InputError
from harness.plugins.source import Plugin
from harness.plugins.use import use_plugins
from harness.study import Study
from harness.study.largest import list_largest
from harness.study.sections import Resources
from models.choices import ImageShape
from models.settings import TrialSettings

MAX_PACKED = 128
"""More trials than this gain nothing, as steps are then limited by the bandwidth of the memory."""

USABLE = 0.8
"""The share of the free memory that is filled: libraries take theirs, and sizes change as trials come and go."""

FIX = "take fewer latents, narrower layers or smaller batches"

SIZES = ((4, 12), (1, 2))
"""Members of the trainers that are measured; the second pair where there is no room for the first."""


def settle_resources(study: Study, num_trials: int, dataset: Dataset) -> Resources:
    """Replace `gpu: auto` in the study's resources by a number; Ray must be running.

    Raises:
        InputError: there is no GPU to measure, or it has no room for a single trial.
    """
    if study.resources.gpu != "auto":
        return study.resources
    import ray

    num_cards = int(ray.cluster_resources().get("GPU", 0))
    if num_cards < 1:
        raise InputError(
            "resources.gpu: auto packs trials on a graphics card, but this machine or cluster has none; "
            "train on the CPU with --set resources.gpu=0"
        )
    measure = ray.remote(num_gpus=1, max_calls=1)(measure_memory)  # its process ends, and frees the card
    asked = [measure.remote(settings, dataset.image_shape, study.loaded_plugins) for settings in list_largest(study)]
    try:
        measured = ray.get(asked)
    except ray.exceptions.RayTaskError as error:
        from models.numerics.machine import is_out_of_memory  # loads torch, which a driver needs for nothing else

        if not isinstance(error.cause, Exception) or not is_out_of_memory(error.cause):
            raise
        raise InputError(f"resources.gpu: the graphics card has no room for a single trial; {FIX}") from None
    frees, fixeds, per_trials = zip(*measured, strict=True)
    free, fixed, per_trial = min(frees), max(fixeds), max(per_trials)
    fixed += dataset.train_images.nbytes + dataset.test_images.nbytes
    # Ray fills a card before it takes the next: no more on each than leaves as many for the others.
    packed = choose_packing(free, fixed, per_trial, -(-num_trials // num_cards))
    return study.resources.model_copy(update={"gpu": int(1e4 / packed) / 1e4})  # in ten-thousandths, as Ray counts


def measure_memory(
    settings: TrialSettings, image_shape: ImageShape, plugins: Sequence[Plugin] = ()
) -> tuple[int, int, int]:
    """Bytes of the card: free now, taken once by whatever runs there, taken by each trial more. To be run on it."""
    import torch

    from models.numerics.machine import is_out_of_memory

    use_plugins(plugins)
    free, _ = torch.cuda.mem_get_info()
    for few, many in SIZES:
        try:
            peaks = [measure_peak(settings, image_shape, size) for size in (few, many)]
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        else:
            per_trial = (peaks[1] - peaks[0]) // (many - few)
            return free, max(peaks[0] - few * per_trial, 0), per_trial
    return free, 0, measure_peak(settings, image_shape, 1)  # two have no room together


def measure_peak(settings: TrialSettings, image_shape: ImageShape, num_trials: int) -> int:
    """Bytes of the card that so many trials take at most, trained together."""
    import torch

    from models.training.make_trainer import make_trainer
    from models.training.stacked.cuda_graph import GRAPH_STEPS
    from models.training.state import init_state
    from models.training.trainer import raise_failure

    gc.collect()  # one that ran out of memory may not be gone yet
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    # Two whole graphs and the steps of a shorter one, which is recorded in the second epoch, then a smaller batch.
    num_images = (2 * GRAPH_STEPS + 2) * settings.batch_size + settings.batch_size // 2
    images = torch.zeros(num_images, *image_shape, dtype=torch.uint8, device="cuda")
    state = init_state(settings, image_shape)
    trainer = make_trainer(settings, image_shape, latent_dim=settings.latent_dim, capacity=num_trials, device="cuda")
    for _ in range(num_trials):  # not every trainer takes memory for members that it has not yet
        trainer.add(settings, state.tensors(), epoch=0, step=0)
    for _ in range(2):
        raise_failure(trainer.fit_epoch(images))
    return torch.cuda.max_memory_reserved()


def choose_packing(free: int, fixed: int, per_trial: int, num_trials: int) -> int:
    """Choose how many trials train at once on a card. free, fixed, per_trial: bytes.

    Raises:
        InputError: the card has no room for a single trial.
    """
    room = int((USABLE * free - fixed) // max(per_trial, 1))
    if room < 1:
        raise InputError(
            f"resources.gpu: a trial takes {(fixed + per_trial) / 1e9:.1f} GB, but the graphics card has "
            f"{free / 1e9:.1f} GB free; {FIX}"
        )
    return min(room, num_trials, MAX_PACKED)
