"""The command `python -m models.benchmark`, which needs torch alone."""

import subprocess
import sys

import pytest
import torch

from models.benchmark import options
from models.benchmark.__main__ import main
from models.benchmark.comparison import list_rows
from models.benchmark.options import Options

BAD_OPTIONS = {
    "--seconds: 0.0 is not a positive number": ["--seconds", "0"],
    "--seconds: inf is not a positive number": ["--seconds", "inf"],
    "--latent-dim: 0 is too small": ["--latent-dim", "0"],
    "--batch-size: 60001 is not from 1 to 60000": ["--batch-size", "60001"],
    "--device: 'tpu' is not one of auto, cpu, cuda": ["--device", "tpu"],
    "--precision: 'fp8' is not one of all, float32, tf32, bf16": ["--precision", "fp8"],
    "--device cuda: torch sees no GPU here; use --device cpu": ["--device", "cuda"],
}


@pytest.mark.parametrize(("sentence", "arguments"), BAD_OPTIONS.items(), ids=map(" ".join, BAD_OPTIONS.values()))
def test_bad_options_end_in_one_sentence_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sentence: str, arguments: list[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert f"error: {sentence}" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_precision_is_refused_where_no_processor_has_it(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "has_precision", lambda precision, _: precision == "float32")
    assert {row.task.precision for row in list_rows(Options(device="cpu"), 2)} == {"float32"}
    with pytest.raises(ValueError, match=f"--precision {precision}: no processor"):
        Options(device="cpu", precision=precision)


BARE = """
import sys
for name in ("ray", "mlflow", "pandas", "torchvision", "PIL", "rich", "typer", "harness", "analysis"):
    sys.modules[name] = None
from dataclasses import replace
from models.benchmark.__main__ import main
from models.benchmark.timing import Task, time_task
task = Task(loop="plain", device="cpu", latent_dim=3, batch_size=16, seconds=1e-3, chunk_steps=2, num_images=64)
print(time_task(task).has_torchvision, time_task(replace(task, loop="ours")).has_torchvision)
main(["--help"])
"""


def test_torch_alone_is_enough() -> None:
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("False None\nusage: python -m models.benchmark")
