"""The ledger: what names a trial, what is stored of it, what still has to run."""

import dataclasses
import json
import math
import os
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from harness.ledger.result import Result, Row, drop_nonfinite
from harness.ledger.trial import Trial
from harness.ledger.trial_folder import TrialFolder, read_checkpoint
from harness.metrics import Measures
from models.choices import NETWORKS, Network
from models.setting import SETTINGS, belongs
from models.settings import SEMANTICS_VERSION, TrialSettings

SETTINGS_ = TrialSettings(model="vsc", latent_dim=4, alpha=0.2, hidden=(8,), epochs=3, seed=1)
TRIAL = Trial(SETTINGS_, "digits", "d" * 64)
HISTORY: list[Row] = [
    {"epoch": 1, "step": 10, "train/loss": 0.1 + 0.2, "sharpness": None, "seconds": 1.5},
    {"epoch": 2, "step": 20, "train/loss": 1e-300, "sharpness": 50.0, "seconds": 0.25},
]


def change(**changes: Any) -> Trial:
    return dataclasses.replace(TRIAL, settings=dataclasses.replace(SETTINGS_, **changes))


# Identity


def test_the_identity_of_a_trial_never_changes() -> None:
    # Results are stored under it. If this fails, either take the change back or raise SEMANTICS_VERSION knowingly.
    assert TRIAL.trial_id == "a63aa9dc75f2cb53"


CHANGES: dict[str, Any] = {
    "model": {"model": "vae", **{name: None for name in SETTINGS if not belongs(name, "vae")}},
    "latent_dim": {"latent_dim": 5},
    "alpha": {"alpha": 0.2000001},
    "gamma_link": {"gamma_link": "sigmoid"},
    "gamma_clamp": {"gamma_clamp": 0},
    "sharpness": {"sharpness": 60},
    "sharpness_schedule": {"sharpness_schedule": "ramp"},
    "kl_from": {"kl_from": "logits"},
    "estimator": {"estimator": "disarm"},
    "pixel_scaling": {"pixel_scaling": "unit_norm"},
    "binarisation": {"binarisation": "dynamic"},
    "initialisation": {"initialisation": "xavier"},
    "beta": {"beta": 2},
    "capacity": {"model": "annealed_vsc", "capacity": 9.0, "capacity_steps": 100},
    "capacity_steps": {"model": "annealed_vsc", "capacity": 25.0, "capacity_steps": 9},
    "tc_weight": {"model": "factor_vsc", "tc_weight": 9.0, "discriminator_width": 1000},
    "discriminator_width": {"model": "factor_vsc", "tc_weight": 10.0, "discriminator_width": 9},
    "num_pseudo_inputs": {"model": "vsc_uai_paper", "num_pseudo_inputs": 7},
    "selector": {"model": "vsc_uai_paper", "selector": "soft"},
    "pseudo_gammas": {"model": "vsc_uai_paper", "pseudo_gammas": "sharpened"},
    "sparsity_of": {"model": "vsc_uai_paper", "sparsity_of": "mixture"},
    "warm_up": {"model": "vsc_uai_paper", "warm_up": "log_variance"},
    "warm_up_from": {"model": "vsc_uai_paper", "warm_up_from": 9},
    "warm_up_to": {"model": "vsc_uai_paper", "warm_up_to": 30000},
    "drop_after": {"model": "vsc_uai_paper", "drop_after": 9},
    "drop_moments": {"model": "vsc_uai_paper", "drop_moments": "fresh"},
    "batch_order": {"model": "vsc_uai_paper", "batch_order": "sequential"},
    "likelihood": {"likelihood": "gaussian"},
    "variance": {"likelihood": "gaussian", "variance": "shared"},
    "pixel_sd": {"likelihood": "gaussian", "variance": "shared", "pixel_sd": 0.2},
    "network": {"network": "other"},
    "hidden": {"hidden": (8, 8)},
    "activation": {"activation": "tanh"},
    "architecture": {"network": "conv", "hidden": (400,), "architecture": "burgess"},
    "learning_rate": {"learning_rate": 2e-3},
    "batch_size": {"batch_size": 33},
    "epochs": {"epochs": 4},
    "images_per_epoch": {"images_per_epoch": 64},
    "precision": {"precision": "bf16"},
    "randomness": {"randomness": "report"},
    "num_validation": {"num_validation": 5},
    "seed": {"seed": 2},
}


def test_every_setting_is_part_of_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "other", Network("mlp"))
    assert CHANGES.keys() == SETTINGS.keys()
    identities = [change(**changes).trial_id for changes in CHANGES.values()]
    assert len({TRIAL.trial_id, *identities}) == len(SETTINGS) + 1


def test_the_bytes_of_the_dataset_are_part_of_the_identity_and_its_name_is_not() -> None:
    assert dataclasses.replace(TRIAL, dataset_hash="e" * 64).trial_id != TRIAL.trial_id
    assert dataclasses.replace(TRIAL, dataset="renamed").trial_id == TRIAL.trial_id


def test_the_version_of_the_semantics_is_part_of_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    before = TRIAL.trial_id
    monkeypatch.setattr("harness.ledger.trial.SEMANTICS_VERSION", SEMANTICS_VERSION + 1)
    assert change().trial_id != before


def test_a_default_that_is_spelled_out_changes_no_identity() -> None:
    spelled = {
        "beta": 1,
        "gamma_link": "exp_relu",
        "gamma_clamp": 1e-6,
        "pixel_scaling": "minmax",
        "initialisation": "kaiming",
        "sharpness_schedule": "per_epoch",
        "batch_size": 32.0,
        "hidden": [8],
    }
    assert change(**spelled).trial_id == TRIAL.trial_id
    vae = TrialSettings(model="vae", latent_dim=4)
    spelled_vae = TrialSettings(model="vae", latent_dim=4, alpha=None, learning_rate=0.001, epochs=11, seed=0)
    assert Trial(vae, "", "").trial_id == Trial(spelled_vae, "", "").trial_id


def test_an_identity_can_name_a_folder_and_survives_json() -> None:
    assert len(TRIAL.trial_id) == 16
    assert set(TRIAL.trial_id) <= set("0123456789abcdef")
    again = TrialSettings(**json.loads(json.dumps(SETTINGS_.to_dict())))
    assert dataclasses.replace(TRIAL, settings=again).trial_id == TRIAL.trial_id


def test_a_label_says_what_a_trial_is() -> None:
    assert TRIAL.label == f"vsc alpha 0.2 latent 4 seed 1 ({TRIAL.trial_id[:6]})"
    assert Trial(TrialSettings(model="vae", latent_dim=2), "", "").label.startswith("vae latent 2 seed 0 (")


def test_measures_name_what_their_numbers_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    measures = Measures(("elbo", "iw_bound", "probe"), 50, 10, probe_width=64)
    monkeypatch.setattr("harness.metrics.PROBE_VERSION", 7)
    assert measures.evaluated == ["elbo@v2", "iw_bound@50v2", "probe@64v7"]


def test_a_label_names_what_varies_in_its_study() -> None:
    settings = dataclasses.replace(SETTINGS_, learning_rate=3e-4, hidden=(16, 8))
    label = Trial(settings, "", "", varied=("alpha", "learning_rate", "hidden", "gamma_clamp")).label
    assert label.startswith("vsc alpha 0.2 learning rate 0.0003 hidden 16x8 gamma clamp ")
    assert "latent" not in label


# Results

RESULT = Result(
    status="finished",
    history=HISTORY,
    metrics={"test/elbo": -1.0 / 3.0, "code/active_units": 2.0},
    evaluated=["elbo"],
    error="a\nb \u2028",
    peak_memory_mb=12.5,
    device="cpu",
    host="here",
)


@pytest.fixture
def folder(tmp_path: Path) -> TrialFolder:
    return TrialFolder(tmp_path, TRIAL)


@pytest.mark.parametrize(
    "result", [RESULT, Result(status="failed"), dataclasses.replace(RESULT, status="stopped", history=[])]
)
def test_a_result_survives_a_round_trip(folder: TrialFolder, result: Result) -> None:
    folder.write_result(result)
    assert folder.read_result() == result


def test_a_password_in_an_error_is_not_stored(folder: TrialFolder) -> None:
    folder.write_result(dataclasses.replace(RESULT, error="GET https://alice:s3cret@host/x?token=s3cret"))
    (path,) = folder.path.iterdir()
    assert "s3cret" not in path.read_text()
    path.write_text(path.read_text().replace("***@", "alice:s3cret@"))  # as one that was stored before
    result = folder.read_result()
    assert result is not None
    assert result.error == "GET https://***@host/x?token=***"


def test_a_trial_that_has_not_ended_has_no_result(folder: TrialFolder) -> None:
    assert folder.read_result() is None


def test_a_result_that_is_cut_short_is_none(folder: TrialFolder) -> None:
    folder.write_result(RESULT)
    (path,) = folder.path.iterdir()
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        assert folder.read_result() is None


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"{}", b'{"other": 1}', b"\xff\xfe", b'"finished"', b"null"])
def test_a_result_that_is_none_is_none(folder: TrialFolder, content: bytes) -> None:
    folder.write_result(RESULT)
    (path,) = folder.path.iterdir()
    path.write_bytes(content)
    assert folder.read_result() is None


def test_a_result_counts_its_epochs_and_training_seconds() -> None:
    assert (RESULT.epochs_trained, RESULT.train_seconds) == (2, 1.75)
    assert (Result(status="failed").epochs_trained, Result(status="failed").train_seconds) == (0, 0.0)


def test_numbers_that_are_not_finite_are_dropped() -> None:
    values = {"a": 1.5, "b": math.nan, "c": -math.inf, "d": None, "e": 3, "f": "text", "g": 0.0}
    assert drop_nonfinite(values) == {"a": 1.5, "e": 3, "f": "text", "g": 0.0}


# Checkpoints

TENSORS = {
    "model.weight": torch.arange(6.0).reshape(2, 3) / 7,
    "model.bias": torch.tensor([math.nan, math.inf, -0.0, 1e-45]),
    "adam.transposed": torch.arange(6.0).reshape(2, 3).T,
    "adam.empty": torch.zeros(0, 3),
}


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes()


def test_a_checkpoint_survives_a_round_trip_bit_for_bit(folder: TrialFolder) -> None:
    folder.write_checkpoint(TENSORS, HISTORY)
    (path,) = folder.list_own_states()
    tensors, history = read_checkpoint(path)
    assert history == HISTORY
    assert tensors.keys() == TENSORS.keys()
    assert all(same_bits(tensors[name], TENSORS[name].contiguous()) for name in TENSORS)
    assert folder.count_stored_epochs() == 2


def test_where_there_is_no_checkpoint_nothing_is_stored(folder: TrialFolder) -> None:
    assert folder.list_own_states() == []
    assert folder.count_stored_epochs() == 0


def test_a_new_checkpoint_replaces_the_old_one_and_leaves_nothing_beside_it(folder: TrialFolder) -> None:
    folder.write_checkpoint(TENSORS, HISTORY[:1])
    folder.write_checkpoint(TENSORS, HISTORY)
    assert folder.count_stored_epochs() == 2
    with pytest.raises(ValueError, match="Out of range float values"):
        folder.write_checkpoint({}, [{"epoch": 3, "train/loss": math.nan}])
    assert folder.count_stored_epochs() == 2
    assert [path.name for path in folder.path.iterdir()] == ["epoch-2.safetensors"]


def refuses(folder: TrialFolder, content: bytes) -> bool:
    """Whether reading these bytes raises ValueError, and counting their epochs nothing."""
    folder.path.mkdir(parents=True, exist_ok=True)
    path = folder.path / "epoch-2.safetensors"
    path.write_bytes(content)
    folder.count_stored_epochs()
    with pytest.raises(ValueError, match="cannot be read") as caught:
        read_checkpoint(path)
    return str(path) in str(caught.value)


def test_a_checkpoint_that_is_cut_short_anywhere_is_refused(folder: TrialFolder) -> None:
    folder.write_checkpoint(TENSORS, HISTORY)
    content = (folder.path / "epoch-2.safetensors").read_bytes()
    for size in {*range(0, len(content), 7), 0, 1, 7, 8, 9, len(content) - 1}:
        assert refuses(folder, content[:size])
        assert folder.count_stored_epochs() == 0
    assert refuses(folder, content + b"\0")


def with_header(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + body


GARBAGE = {
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "text": b"not a checkpoint at all",
    "huge-header": struct.pack("<Q", 2**63 - 1) + b"{}",
    "long-header": struct.pack("<Q", 2**40) + b"{}",
    "list": with_header(b"[1, 2]"),
    "number": with_header(b"17"),
    "string": with_header(b'"__metadata__"'),
    "no-metadata": with_header(b"{}"),
    "metadata-null": with_header(b'{"__metadata__": null}'),
    "metadata-list": with_header(b'{"__metadata__": [1]}'),
    "no-history": with_header(b'{"__metadata__": {"a": "b"}}'),
    "history-number": with_header(b'{"__metadata__": {"history": 3}}'),
    "history-text": with_header(b'{"__metadata__": {"history": "what"}}'),
    "history-json-number": with_header(b'{"__metadata__": {"history": "3"}}'),
    "history-json-null": with_header(b'{"__metadata__": {"history": "null"}}'),
    "history-empty": with_header(b'{"__metadata__": {"history": "[]"}}'),
    "history-of-numbers": with_header(b'{"__metadata__": {"history": "[1]"}}'),
    "history-without-step": with_header(b'{"__metadata__": {"history": "[{}]"}}'),
    "deep": with_header(b"[" * 100_000),
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_no_checkpoint(folder: TrialFolder, content: bytes) -> None:
    assert refuses(folder, content)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_random_bytes_are_no_checkpoint(tmp_path_factory: pytest.TempPathFactory, content: bytes, size: int) -> None:
    folder = TrialFolder(tmp_path_factory.getbasetemp() / "random-bytes" / "study", TRIAL)
    assert refuses(folder, content)
    assert refuses(folder, struct.pack("<Q", size) + content)


def test_a_folder_in_the_place_of_a_checkpoint_is_refused(folder: TrialFolder) -> None:
    (folder.path / "epoch-2.safetensors").mkdir(parents=True)
    assert folder.count_stored_epochs() == 0
    with pytest.raises(ValueError, match="cannot be read"):
        read_checkpoint(folder.path / "epoch-2.safetensors")


def test_a_safetensors_file_of_something_else_is_refused(folder: TrialFolder) -> None:
    folder.path.mkdir(parents=True)
    save_file({"a": torch.zeros(2)}, folder.path / "epoch-2.safetensors")
    assert folder.count_stored_epochs() == 0
    with pytest.raises(ValueError, match="cannot be read"):
        read_checkpoint(folder.path / "epoch-2.safetensors")


def test_a_state_in_a_folder_that_another_user_keeps_private_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [TrialFolder(tmp_path / name, TRIAL) for name in ("mine", "private")]
    for folder in folders:
        folder.write_checkpoint({"w": torch.zeros(1)}, HISTORY)
    assert len(folders[0].list_states()) == 2

    def refuse(path: Path) -> bool:
        if "private" in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        return True

    monkeypatch.setattr(Path, "is_dir", refuse)
    monkeypatch.setattr(os, "access", lambda path, _: "private" not in Path(path).parts)
    assert folders[0].list_states() == folders[0].list_own_states()
