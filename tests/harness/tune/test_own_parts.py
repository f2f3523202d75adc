"""What is replaced in Tune while a study runs, and what is said where another version of Ray lacks it."""

import sys

import pytest
import ray
import ray.tune.execution.tune_controller
import ray.tune.tune
from ray import tune
from ray.tune.execution import class_cache

from harness.tune import light_controller
from harness.tune.light_controller import LightController
from harness.tune.own_parts import HEAVIER, TALKATIVE, own_parts
from harness.tune.processes import Processes

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")


def list_parts() -> list[object]:
    return [
        getattr(ray.tune.tune, "TuneController", None),
        getattr(ray.tune.execution.tune_controller, "RayActorManager", None),
    ]


def read_variables() -> dict[str, str]:
    """The variables that stand on the command line of a trial's process."""
    return dict(class_cache._ActorClassCache().get(tune.Trainable)._default_options["runtime_env"]["env_vars"])


def test_tune_runs_with_our_parts_and_gets_its_own_back() -> None:
    before = list_parts()
    with own_parts(pytest.fail):
        assert list_parts() == [LightController, Processes]
    assert list_parts() == before
    assert LightController not in before


def test_keys_of_a_bucket_are_on_no_command_line_and_tunes_settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEYS, "RAY_CHDIR_TO_TRIAL_DIR"):
        monkeypatch.setenv(name, "0")
    with own_parts(pytest.fail):
        handed_on = read_variables()
    assert handed_on["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
    assert not handed_on.keys() & set(KEYS)
    assert read_variables().keys() >= set(KEYS), "Tune hands on no keys by itself: this guard is not needed any more"


@pytest.mark.parametrize("lacks", ["attribute", "name", "module"])
def test_where_ray_has_changed_tune_runs_as_it_is_and_that_is_said_once(
    lacks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEYS[0], "0")
    if lacks == "attribute":
        monkeypatch.setattr(light_controller, "ATTRIBUTES", (*light_controller.ATTRIBUTES, "_of_another_version"))
    elif lacks == "name":
        monkeypatch.delattr(ray.tune.execution.tune_controller, "RayActorManager")
    else:
        monkeypatch.setitem(sys.modules, "harness.tune.processes", None)  # as if its own imports failed
    before = list_parts()
    said: list[str] = []
    with own_parts(said.append):
        assert list_parts() == before
        assert KEYS[0] not in read_variables()
    assert list_parts() == before
    (words,) = said
    assert HEAVIER in words
    assert TALKATIVE not in words
    assert "Ray 2.60 is known" in words


@pytest.mark.parametrize("change", ["gone", "of another kind"])
def test_where_tunes_keys_cannot_be_held_back_that_is_said(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if change == "gone":
        monkeypatch.delattr(class_cache, "ENV_VARS_TO_PROPAGATE")
    else:
        monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", None)
    said: list[str] = []
    with own_parts(said.append):
        assert list_parts() == [LightController, Processes]
    (words,) = said
    assert TALKATIVE in words
    assert HEAVIER not in words
