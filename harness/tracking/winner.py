"""The winner of a study as a model of MLflow's: logged with its weights, opened by `mlflow.pyfunc.load_model`.

Its files are numbers, `weights.safetensors` and `model.json`, and the name of this module, by which MLflow opens them:
neither pickle nor code.
"""

import json
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.ledger.trial import Trial
from models.choices import ImageShape
from models.settings import TrialSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

    from models.trained_model import TrainedModel

NAME = "winner"
TAG = "spikeslab.winner"  # of the parent run: the address of the newest winner's model
OF_TRIAL = "spikeslab.trial_id"  # of the model
WEIGHTS, ABOUT = "weights.safetensors", "model.json"
PREFIX = "model."  # of the parameters in a stored state, beside Adam's moments
METHODS = ("encode", "decode", "sample")

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Winner:
    """The trial that a study chose, and the file of its last state, after so many epochs."""

    trial: Trial
    image_shape: ImageShape
    state: Path
    epochs_trained: int


def log_winner(client: "MlflowClient", experiment_id: str, parent_id: str, run_id: str | None, winner: Winner) -> str:
    """Log the winner's model, unless it is the newest that is logged; returns its address, for `load_model`.

    run_id: the run of its trial, if MLflow has it. The parent run has the model, too.
    """
    from mlflow.entities import LoggedModelOutput

    found = _find_newest(client, experiment_id)
    if found is not None and found.tags.get(OF_TRIAL) == winner.trial.trial_id:
        return str(found.model_uri)
    settings = {name: str(value) for name, value in winner.trial.settings.to_dict().items()}
    tags = {OF_TRIAL: winner.trial.trial_id, "dataset": winner.trial.dataset}
    made = client.create_logged_model(experiment_id, NAME, run_id or parent_id, tags, settings, "autoencoder")
    with tempfile.TemporaryDirectory() as scratch:
        _write(Path(scratch) / "model", winner, made.model_id)
        client.log_model_artifacts(made.model_id, str(Path(scratch) / "model"))
    client.finalize_logged_model(made.model_id, "READY")
    for run in {parent_id, run_id or parent_id}:
        client.log_outputs(run, [LoggedModelOutput(made.model_id, 0)])
    client.set_tag(parent_id, TAG, made.model_uri)
    return str(made.model_uri)


def _find_newest(client: "MlflowClient", experiment_id: str) -> "LoggedModel | None":
    order = [{"field_name": "creation_timestamp", "ascending": False}]
    found = client.search_logged_models([experiment_id], f"name = '{NAME}'", order_by=order)
    return next((model for model in found if model.status == "READY"), None)  # else its writing was cut short


def _write(folder: Path, winner: Winner, model_id: str) -> None:
    """Write the files of the model, as MLflow lays them out."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of a type hint of MLflow's own
        import mlflow.pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec
    from safetensors import safe_open
    from safetensors.numpy import save

    rows = Schema([TensorSpec(np.dtype(np.float32), (-1, -1))])
    params = ParamSchema([ParamSpec("method", "string", METHODS[0]), ParamSpec("seed", "long", 0)])
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        data.mkdir()
        with safe_open(winner.state, framework="np") as file:
            names = [name for name in file.keys() if name.startswith(PREFIX)]  # noqa: SIM118
            weights = save({name.removeprefix(PREFIX): file.get_tensor(name) for name in names})
        (data / WEIGHTS).write_bytes(weights)
        about: dict[str, Any] = {"settings": winner.trial.settings.to_dict(), "image_shape": winner.image_shape}
        about |= {"trial_id": winner.trial.trial_id, "epochs_trained": winner.epochs_trained}
        (data / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
        mlflow.pyfunc.save_model(
            folder,
            loader_module=__name__,
            data_path=data,
            mlflow_model=Model(model_id=model_id),
            signature=ModelSignature(rows, rows, params),
            input_example=np.zeros((1, int(np.prod(winner.image_shape))), np.float32),  # a black image
            pip_requirements=["spikeslab"],
        )


class OpenedWinner:
    """What `mlflow.pyfunc.load_model` gives: a row of numbers in, a row of numbers out."""

    def __init__(self, trained: "TrainedModel") -> None:
        self._trained = trained

    def predict(self, rows: Rows, params: dict[str, Any] | None = None) -> Rows:
        """Encode images, decode codes, or draw samples, as the parameter `method` says.

        encode: images (N, C * H * W), bytes from 0 to 255, to codes (N, D). decode: codes (N, D) to pictures
        (N, C * H * W), intensities from 0 to 1. sample: a picture for each row, whatever is in it, by `seed`.

        Raises:
            ValueError: there is no such method, or numbers in a row are not as many as it takes.
        """
        import torch

        given: dict[str, Any] = {"method": METHODS[0], "seed": 0} | (params or {})
        method, trained = given["method"], self._trained
        if method == "sample":
            found = trained.sample(len(rows), seed=int(given["seed"]))
        elif method == "encode":
            _check_width(rows, trained.image_shape)
            images = rows.astype(np.uint8)
            if not np.array_equal(images, rows):
                raise ValueError("images of other numbers than bytes; give whole numbers from 0, black, to 255, white")
            found = trained.encode(images.reshape(-1, *trained.image_shape))
        elif method == "decode":
            _check_width(rows, (trained.settings.latent_dim,))
            found = trained.decode(torch.tensor(rows))
        else:
            raise ValueError(f"method {method!r}; take one of {', '.join(METHODS)}")
        return found.flatten(1).numpy()

    def get_raw_model(self) -> "TrainedModel":
        """The trained model itself: codes and pictures in their shapes, likelihoods, posteriors."""
        return self._trained


def _check_width(rows: Rows, shape: tuple[int, ...]) -> None:
    if rows.shape[1] != (wanted := int(np.prod(shape))):
        raise ValueError(f"rows of {rows.shape[1]} numbers; give {wanted}, of the shape {shape}")


def _load_pyfunc(data: str) -> OpenedWinner:
    """What MLflow calls to open the model in a folder."""
    from safetensors.torch import load_file

    from models.build import build_model
    from models.trained_model import TrainedModel

    about = json.loads((Path(data) / ABOUT).read_text(encoding="utf-8"))
    settings = TrialSettings.from_dict(about["settings"])
    channels, height, width = about["image_shape"]
    module = build_model(settings, (channels, height, width), is_drawn=False)
    module.load_state_dict(load_file(Path(data) / WEIGHTS))
    return OpenedWinner(TrainedModel(settings, (channels, height, width), about["epochs_trained"], module.eval()))
