import pytest

from harness.tracking.mlflow_settings import quieten_mlflow


def test_a_server_is_not_asked_for_addresses_to_print_when_a_run_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """MLflow's client would print two lines for each trial, and ask for its run before."""
    monkeypatch.delenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", raising=False)
    quieten_mlflow()
    from mlflow import MlflowClient

    # Nothing listens there: it would fail if it asked.
    MlflowClient(tracking_uri="http://127.0.0.1:9")._tracking_client._log_url("run")
    assert capsys.readouterr().out == ""
