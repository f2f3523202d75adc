"""What a trial on 120,000 images in colour takes: its images are in memory once, however many trials there are.

Of the peak, importing torch takes 540 MB where it is built for CUDA, and Ray and pandas 150; most of the rest is the
model, its optimiser, the batches and the test images. Training images are read from their file, and none is mapped.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.datasets.faces import Faces
from harness.datasets.image_map import ATTRIBUTES, IMAGES, MANIFEST

SPEC = Faces("faces", 32, None)

TRIAL = """
import re, sys
from dataclasses import replace
from pathlib import Path

import ray.tune  # as the processes of trials do

from harness.datasets.faces import Faces
from harness.datasets.mapped import open_map
from harness.ledger.trial import Trial
from harness.metrics import Measures
from harness.worker.trial_run import run_trial
from models.settings import TrialSettings

dataset = open_map(Faces("faces", 32, None), Path(sys.argv[1]))
settings = TrialSettings(model="vsc", alpha=0.05, latent_dim=100, hidden=(400,), batch_size=100, epochs=1, seed=0)
trial = Trial(settings, dataset.name, dataset.content_hash)
*_, last = run_trial(trial, Measures(("elbo", "exhibits"), 5, 10), dataset, Path(sys.argv[2]))
assert last.result.status == "finished", last.result.error
print("measured", flush=True)
sys.stdin.readline()  # until the other has come so far
held = Path("/proc/self/smaps_rollup").read_text() + Path("/proc/self/status").read_text()
print({name: int(re.search(rf"^{name}:\\s+(\\d+)", held, re.M)[1]) // 1000 for name in ("Pss", "RssAnon", "VmHWM")})
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells of shared pages on Linux alone")
def test_two_trials_on_120_000_images_share_them(tmp_path: Path) -> None:
    num_images = SPEC.num_train + SPEC.num_test
    images = np.lib.format.open_memmap(tmp_path / IMAGES, "w+", np.uint8, (num_images, *SPEC.image_shape))
    for part in np.split(images, 12):
        part[:] = np.random.default_rng(0).integers(0, 256, part.shape, np.uint8)
    del images
    np.save(tmp_path / ATTRIBUTES, np.ones((num_images, len(SPEC.attributes)), np.uint8))
    (tmp_path / MANIFEST).write_text(json.dumps({"content_hash": SPEC.content_hash}))
    command = [sys.executable, "-c", TRIAL, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    trials = [subprocess.Popen([*command, str(tmp_path / name)], **pipes) for name in ("one", "other")]  # type: ignore[call-overload]
    for trial in trials:
        assert trial.stdout.readline() == "measured\n"
    for trial in trials:
        trial.stdin.write("\n")
        trial.stdin.flush()
    held = [dict(re.findall(r"'(\w+)': (\d+)", trial.communicate()[0])) for trial in trials]
    for megabytes in held:
        print(f"\nMB (VmHWM is the peak, RssAnon a process's own, Pss with its share of what is shared): {megabytes}")
        assert int(megabytes["VmHWM"]) < 1_200
        assert int(megabytes["RssAnon"]) < 750  # a copy of the images would be 369 more
