"""Two studies on one cluster: one waits until the other leaves it a place, and says so."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from harness.cluster.room import describe_wait
from harness.commands.run import Outcome
from harness.study import Study
from harness.study.sections import Resources
from harness.tune import callbacks


@pytest.fixture
def others(ray_cluster: str) -> Iterator[Callable[[], None]]:
    """Others use both processors of the cluster; call it to let them end."""
    import ray

    @ray.remote(num_cpus=2)
    class Others:
        def is_there(self) -> bool:
            return True

    holder = Others.remote()
    assert ray.get(holder.is_there.remote())

    def end() -> None:
        ray.kill(holder)

    yield end
    end()


@pytest.mark.slow
def test_a_study_that_waits_for_processors_says_so_and_then_trains(
    run: Callable[..., tuple[Outcome, str]], others: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "PATIENCE_SECONDS", 1.0)
    settings: dict[str, Any] = {"defaults": {"hidden": [8], "batch_size": 128, "epochs": 1}, "evaluate": []}
    space = [{"model": "vae", "latent_dim": 2}]
    study = Study.model_validate(settings | {"name": "waits", "dataset": "digits", "space": space})
    assert describe_wait(Resources(cpu=1)) == "waiting for 1 CPU, as others use 2 of 2"
    timer = threading.Timer(8, others)
    timer.start()
    outcome, output = run(study)
    assert outcome.num_done == 1
    assert "0/1 trials done, waiting for 1 CPU, as others use 2 of 2 ...\n" in output
    assert output.splitlines()[-1].startswith("1/1 trials done, 0 running")
