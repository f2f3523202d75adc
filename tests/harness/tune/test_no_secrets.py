"""What Tune hands to the processes of trials: settings of its own, and no keys."""

import pytest
from ray import tune
from ray.tune.execution.class_cache import _ActorClassCache

from harness.tune.no_secrets import no_secrets_handed_on

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")


def read_variables() -> dict[str, str]:
    """The variables that stand on the command line of a trial's process."""
    return dict(_ActorClassCache().get(tune.Trainable)._default_options["runtime_env"]["env_vars"])


def test_keys_of_a_bucket_are_on_no_command_line_and_tunes_settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEYS, "RAY_CHDIR_TO_TRIAL_DIR"):
        monkeypatch.setenv(name, "0")
    with no_secrets_handed_on():
        handed_on = read_variables()
    assert handed_on["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
    assert not handed_on.keys() & set(KEYS)
    assert read_variables().keys() >= set(KEYS), "Tune hands on no keys by itself: this guard is not needed any more"
