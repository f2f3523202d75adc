"""Whether each machine of a cluster can train a study."""

import json
import os
import shlex
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import ray
from ray.exceptions import TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness import paths
from harness.cluster.nodes import Node, _make_look, ask_nodes, check_nodes, marked
from harness.datasets import load_dataset
from harness.datasets.celeba import CelebA
from harness.datasets.mapped import MappedDataset
from harness.errors import InputError
from harness.ledger.provenance import CODE_FOLDER, describe_machine, read_provenance, record_nodes
from harness.ledger.trial_folder import TrialFolder
from harness.search.grid_and_random import plan_trials
from harness.storage.bucket import find_fault, open_place
from harness.storage.local import write_text_atomically
from harness.storage.place import HERE
from harness.study.file import load_study
from tests.e2e.conftest import STUDY, start_command
from tests.harness.cluster.heads import Head
from tests.harness.training import train_here

FIT = Node("1", "worker", describe_machine())


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (
            replace(FIT, machine={}, problem="No module named 'harness'"),
            r"worker cannot load spikeslab \(No module named",
        ),
        (
            replace(FIT, machine=FIT.machine | {"code.sha256": "x"}),
            r"worker would train other code than .*start it again",
        ),
        (replace(FIT, machine={"code.sha256": "older"}), r"worker would train other code"),
        (replace(FIT, machine=FIT.machine | {"version.torch": "1.0"}), r"worker has torch 1.0, and this machine "),
        (
            replace(FIT, unseen=find_fault("/no/such/mark")),
            r"worker does not see /no/such; give --results a folder that",
        ),
    ],
)
def test_a_machine_that_cannot_train_is_one_sentence(node: Node, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        check_nodes([FIT, node])
    assert "\n" not in str(caught.value)
    assert check_nodes([FIT]) == [FIT]


def test_another_build_of_the_same_torch_is_the_same_torch() -> None:
    torch = FIT.machine["version.torch"].partition("+")[0]
    other = replace(FIT, machine=FIT.machine | {"version.torch": f"{torch}+of-another-device"})
    assert other.find_fault() is None


def test_every_machine_is_asked(ray_cluster: str, tmp_path: Path) -> None:
    (tmp_path / ".seen-by-nodes-of-a-driver-that-was-killed").touch()
    with marked(tmp_path, HERE) as mark:
        assert [path.name for path in tmp_path.iterdir()] == [Path(mark).name]
        (node,) = ask_nodes(mark, ("faces", "/no/such/folder", ""))  # which any machine can draw
        assert (node.machine, node.unseen, node.problem) == (describe_machine(), "", "")
        assert ask_nodes(mark, but=[node.node_id]) == []
    assert list(tmp_path.iterdir()) == []


def test_a_machine_that_is_gone_before_the_head_has_missed_it_refuses_no_study(monkeypatch: pytest.MonkeyPatch) -> None:
    names, alive = {"a" * 56: "here", "b" * 56: "gone", "c" * 56: "broken"}, {"here", "gone", "broken"}

    class Asked:
        def options(self, scheduling_strategy: NodeAffinitySchedulingStrategy) -> Self:
            self.name = names[scheduling_strategy.node_id]
            return self

        def remote(self, *_: object) -> str:
            return self.name

    def answer(name: str, timeout: float) -> dict[str, Any]:
        assert timeout > 0
        if name == "here":
            return {"machine": describe_machine(), "unseen": "", "problem": ""}
        alive.discard("gone")  # by then the head has missed it
        raise TaskUnschedulableError("The node specified via NodeAffinitySchedulingStrategy doesn't exist any more")

    def describe(node_id: str, name: str) -> dict[str, Any]:
        at = {"NodeManagerHostname": name, "NodeManagerAddress": name}
        return {"NodeID": node_id, "Alive": name in alive, **at}

    monkeypatch.setattr(ray, "nodes", lambda: [describe(*one) for one in names.items()])
    monkeypatch.setattr(ray, "remote", lambda **_: lambda _: Asked())
    monkeypatch.setattr(ray, "get", answer)
    monkeypatch.setattr("harness.cluster.draining.list_draining", set)
    assert [(node.name, bool(node.problem)) for node in ask_nodes("mark")] == [("here", False), ("broken", True)]


def test_a_machine_that_lacks_the_photographs_of_celeba_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SPIKESLAB_DATA", raising=False)
    monkeypatch.setattr(paths, "user_cache", lambda: tmp_path / "cache")
    mark, spec, nothing = tmp_path / "mark", CelebA("celeba", 32, "report", 100_000, 20_000), np.zeros((1, 1))
    mark.touch()
    there = MappedDataset("celeba", *[nothing] * 4, spec.content_hash, spec, tmp_path / "of the driver")
    look = _make_look()
    assert look(str(mark), there.kept)["unseen"].startswith("lacks the images: celeba: CelebA was not found in any of")
    manifest = {"content_hash": spec.content_hash, "is_packed": False}
    write_text_atomically(there.folder / "manifest.json", json.dumps(manifest))
    assert look(str(mark), there.kept)["unseen"] == ""
    assert look(str(mark), load_dataset("digits").kept)["unseen"] == ""
    assert not (tmp_path / "cache").exists(), "nothing is made as a machine is asked"


def test_the_record_names_the_machines_that_trained(tmp_path: Path) -> None:
    record_nodes(tmp_path, [describe_machine()])
    assert read_provenance(tmp_path) == []
    (tmp_path / "provenance.json").write_text('[{"host": "a"}, {"host": "b"}]')
    other = {"host": "c", "cpu": "X", "version.torch": "2"}
    record_nodes(tmp_path, [{"host": "b", "cpu": "Y"}, other])
    assert read_provenance(tmp_path) == [{"host": "a"}, {"host": "b", "node.c": "cpu X, version.torch 2"}]


def start_tiny(head: Head, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    (folder / "tiny.yaml").write_text(STUDY)
    words = ("tiny.yaml", "--address", head.address, "--set", "figures=[]", *arguments)
    return start_command(folder, head.client, "run", *words)


def hide(*folders: Path) -> list[str]:
    return [f"mount -t tmpfs none {shlex.quote(str(folder))}" for folder in folders]


OURS = [CODE_FOLDER / name for name in ("harness", "models", "analysis")]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="nodes that see other files need root")


@pytest.mark.slow
@needs_root
def test_results_that_a_machine_does_not_see_are_said_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    with Head() as head:
        head.join(*hide(tmp_path / "results"))
        head.wait_for_nodes(2)
        process = start_tiny(head, tmp_path)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert said.count("\n") == 1
    assert f"does not see {tmp_path / 'results/tiny'}; give --results a folder that every machine" in said
    assert not list(tmp_path.glob("results/tiny/trials/*"))
    assert not list(tmp_path.glob("results/tiny/.seen*"))


@pytest.mark.slow
@needs_root
@pytest.mark.parametrize("has", ["other code", "none"])
def test_a_machine_that_lacks_our_code_is_given_it(tmp_path: Path, has: str) -> None:
    mounts = hide(*OURS)
    if has == "other code":
        clone = tmp_path / "clone"
        for folder in OURS:
            shutil.copytree(folder, clone / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
        source = clone / "harness" / "worker" / "trial_run.py"
        source.write_text("raise RuntimeError('another clone')\n" + source.read_text())
        mounts = [f"mount --bind {clone / folder.name} {folder}" for folder in OURS]
    with Head(num_cpus=0) as head:
        head.join(*mounts)
        head.wait_for_nodes(2)
        process = start_tiny(head, tmp_path, "--set", "epochs=1")
        told, said = process.communicate(timeout=200)
    assert (process.returncode, said) == (0, ""), told
    assert "8 of 8 trials done" in told
    assert not (tmp_path / "results/tiny/ray.log").exists(), "no process of a trial died"


@pytest.mark.slow
@needs_root
def test_machines_that_share_nothing_but_a_bucket_train_as_one(address: str, tmp_path: Path) -> None:
    nodes = [tmp_path / f"node-{i}" for i in range(2)]
    for folder in (*nodes, tmp_path / "cache"):
        folder.mkdir()
    with Head(num_cpus=0) as head:
        for folder in nodes:  # of its own are a node's temporary folder and its cache
            head.join(*hide(tmp_path / "cache"), f"export TMPDIR={shlex.quote(str(folder))}")
        head.wait_for_nodes(3)
        process = start_tiny(head, tmp_path, "--results", address, "--set", "checkpoint_every=1")
        told, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (0, ""), told
    assert "8 of 8 trials done (8 trained or measured now)" in told
    study = load_study(tmp_path / "tiny.yaml", ["figures=[]", "checkpoint_every=1"])
    train_here(study, tmp_path / "local")
    place = open_place(address).for_trials()
    hosts = []
    for trial in plan_trials(study, load_dataset("digits")):
        here, there = (
            TrialFolder(folder / "tiny", trial, where)
            for folder, where in ((tmp_path / "local", HERE), (place.folder, place))
        )
        there.fetch()
        alone, found = here.read_result(), there.read_result()
        assert alone is not None
        assert found is not None
        assert (found.metrics, found.evaluated) == (alone.metrics, alone.evaluated)
        assert [row["test/loss"] for row in found.history] == [row["test/loss"] for row in alone.history]
        hosts.append(there.log.read_text())
    assert len(hosts) == 8
    assert not [path for folder in nodes for path in folder.rglob("*.safetensors")], "nodes keep nothing"


@pytest.mark.slow
@needs_root
def test_a_machine_that_cannot_use_the_bucket_is_said_before_anything_is_trained(address: str, tmp_path: Path) -> None:
    with Head() as head:
        head.join("export AWS_ENDPOINT_URL=http://127.0.0.1:1")
        head.wait_for_nodes(2)
        process = start_tiny(head, tmp_path, "--results", address)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert said.count("\n") == 1
    assert (
        f" cannot use {address}/tiny: the bucket does not answer; see to AWS_ENDPOINT_URL (http://127.0.0.1:1)" in said
    )
    assert not [item for item in open_place(address).list(open_place(address).folder) if "trials" in item.path.parts]


@pytest.mark.slow
@needs_root
def test_a_machine_that_joins_and_cannot_train_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    with Head(num_cpus=1) as head:
        process = start_tiny(head, tmp_path, "--set", "epochs=300", "--set", "evaluate=[elbo]")
        while not list(tmp_path.glob("results/tiny/trials/*/result-*.json")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        head.join(*hide(tmp_path / "results"), num_cpus=2)
        head.wait_for_nodes(2)
        told, said = process.communicate(timeout=300)
    assert (process.returncode, said) == (0, ""), told
    assert told.count("A machine joined that trains nothing of this study: ") == 1
    assert "8 of 8 trials done" in told
    assert "goes on from" not in told
