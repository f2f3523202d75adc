"""Clients of HTTP reach this machine itself without the environment's proxy."""

import os
from collections.abc import Callable

import pytest

from harness.proxies import spare_this_machine
from harness.storage.objects import Objects
from harness.tracking.mlflow_settings import keeping_settings, quieten_mlflow


@pytest.mark.parametrize(
    "make_client",
    [spare_this_machine, quieten_mlflow, lambda: Objects("s3://bucket/results", 0.0, 1.0)],
    ids=["itself", "MLflow", "a bucket"],
)
def test_this_machine_is_spared_before_a_client_is_made(
    make_client: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    with keeping_settings():
        for _ in range(2):
            make_client()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "127.0.0.1,localhost"


def test_without_a_proxy_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    spare_this_machine()
    assert not [name for name in os.environ if name.lower().endswith("_proxy")]
