"""Make the source of trials that a study asks for."""

from pathlib import Path

from harness.datasets import DATASET_NAMES, Dataset, DatasetIdentity, identify_dataset
from harness.errors import InputError
from harness.ledger.recorded_dataset import recall_dataset
from harness.metrics import CLASS_EVALUATIONS, FACTOR_EVALUATIONS
from harness.search.grid_and_random import ListSource, plan_trials
from harness.search.source import Source
from harness.storage.place import HERE, Place
from harness.study import Study
from harness.study.largest import list_largest
from harness.study.sections import ADAPTIVE_SAMPLERS
from models.networks.counting import count_parameters


def make_source(
    study: Study, dataset: DatasetIdentity, study_folder: Path, *, read_only: bool = False, place: Place = HERE
) -> Source:
    """Make the source of a study's trials. place: keeps their states, where the folder is only this machine's.

    Raises:
        InputError: a configuration is not legal for this dataset, or may be drawn that is not.
    """
    _check_batches(study, dataset.num_train)
    _check_factors(study, dataset)
    _check_classes(study, dataset)
    _check_networks(study, dataset)
    source: Source
    if study.search.sampler in ADAPTIVE_SAMPLERS:
        from harness.search.optuna_source import OptunaSource

        source = OptunaSource(study, dataset, study_folder, read_only=read_only)
    elif study.scheduler.name == "pbt":
        from harness.search.population import PopulationSource

        source = PopulationSource(study, plan_trials(study, dataset), study_folder, read_only=read_only, place=place)
    else:
        source = ListSource(study, plan_trials(study, dataset), study_folder)
    if study.confirm is None:
        return source
    from harness.search.confirm import ConfirmingSource

    return ConfirmingSource(study, source, study_folder)


def read_source(study: Study, study_folder: Path, *, as_recorded: bool = False) -> Source:
    """The source of a study's trials as far as they are known, to be read alone: another process may be running it.

    The study's plug-ins are those of this process from here on. as_recorded: takes a plug-in's dataset as the last run
    has recorded it, so that its images need not be there; else they are loaded, to say what a run would do.

    Raises:
        InputError: as of `make_source`.
    """
    study.use_plugins()
    dataset = recall_dataset(study.dataset, study_folder) if as_recorded else identify_dataset(study.dataset)
    return make_source(study, dataset, study_folder, read_only=True)


def _check_factors(study: Study, dataset: DatasetIdentity) -> None:
    """Refuse measures of disentanglement where nobody knows what the images were made from."""
    needing = [name for name in study.evaluate if name in FACTOR_EVALUATIONS]
    if needing and not dataset.factors:
        way = "set dataset: dsprites" if study.dataset in DATASET_NAMES else "give them to the plug-in's add_dataset"
        complaint = (
            f"evaluate: {needing[0]} needs images whose factors are known, and those of {study.dataset} are not; "
            f"remove it, or {way}"
        )
        raise InputError(study.place_complaint(complaint))


def _check_classes(study: Study, dataset: DatasetIdentity) -> None:
    """Refuse to tell classes apart where all images are of one. Our own datasets have several."""
    needing = [name for name in study.evaluate if name in CLASS_EVALUATIONS]
    if needing and isinstance(dataset, Dataset) and not dataset.has_classes:
        complaint = (
            f"evaluate: {needing[0]} needs images of several classes, and the training labels of {study.dataset} are "
            "all the same; remove it"
        )
        raise InputError(study.place_complaint(complaint))


def _check_networks(study: Study, dataset: DatasetIdentity) -> None:
    """Refuse networks that the images do not fit; of all that the study may draw, before any trains."""
    try:
        for settings in list_largest(study):
            count_parameters(settings, dataset.image_shape)
    except ValueError as error:
        raise InputError(study.place_complaint(str(error))) from None


def _check_batches(study: Study, num_train: int) -> None:
    """Refuse batches and epochs of more images than there are; of all that it may draw, before any trains."""
    for name, size, left in study.list_largest_batches(num_train):
        if 0 < left < size:  # where none is left, the trial itself is refused
            held_out = f" that are not held out of {num_train}" if left < num_train else ""
            complaint = f"{name}: {size} of {left} training images{held_out}; give at most those"
            raise InputError(study.place_complaint(complaint))
