"""cluster.yaml: what Ray checks, offline, and what Ray lets pass."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.test_repository import registry_hosts_in

FILE = Path(__file__).parents[1] / "cluster.yaml"
TEXT = FILE.read_text(encoding="utf-8")

# What EC2's RunInstances takes, as far as a cluster could need it, and SubnetIds, which Ray splits up.
NODE_CONFIG_KEYS = {
    "BlockDeviceMappings",
    "CapacityReservationSpecification",
    "EbsOptimized",
    "IamInstanceProfile",
    "ImageId",
    "InstanceMarketOptions",
    "InstanceType",
    "KeyName",
    "LaunchTemplate",
    "MetadataOptions",
    "Monitoring",
    "NetworkInterfaces",
    "Placement",
    "SecurityGroupIds",
    "SubnetIds",
    "TagSpecifications",
    "UserData",
}
PROVIDER_KEYS = {"type", "region", "availability_zone", "cache_stopped_nodes", "security_group"}
GPU_INSTANCE = re.compile(r"(g|p)\d")


def load(text: str = TEXT) -> dict[str, Any]:
    config = yaml.safe_load(text)
    assert isinstance(config, dict)
    return config


def prepared(config: dict[str, Any]) -> dict[str, Any]:
    """With Ray's defaults filled in, as `ray up` uses it; raises what `ray up` would."""
    full: dict[str, Any] = prepare_config(copy.deepcopy(config))
    validate_config(full)
    return full


def flaws(config: dict[str, Any]) -> list[str]:
    """What is wrong with the cluster although Ray takes it."""
    full = prepared(config)
    found = [f"provider: {key}" for key in full["provider"].keys() - PROVIDER_KEYS]
    for name, node_type in full["available_node_types"].items():
        node_config = node_type["node_config"]
        found += [f"{name}: {key}" for key in node_config.keys() - NODE_CONFIG_KEYS]
        if "ImageId" not in node_config:
            found.append(f"{name}: no ImageId, so Ray's, which is too old")
        if bool(GPU_INSTANCE.match(node_config["InstanceType"])) != ("GPU" in node_type["resources"]):
            found.append(f"{name}: the instance type and the resources disagree about GPUs")
    for role in ("head", "worker"):
        installs, starts = (
            " ".join(full[f"{role}_setup_commands"]),
            " ".join(full[f"{role}_start_ray_commands"]),
        )
        if "pip install -q -c constraints.txt ." not in installs:
            found.append(f"{role}: does not install this project")
        if "http" in installs:
            found.append(f"{role}: installs from an address")
        if "RAY_AUTH_MODE=token ray start" not in starts:
            found.append(f"{role}: starts Ray without its token")
    head_start = " ".join(full["head_start_ray_commands"])
    if re.findall(r"--dashboard-host[= ](\S+)", head_start) != ["127.0.0.1"]:
        found.append("head: the dashboard can be reached from outside")
    if "--autoscaling-config=" not in head_start:
        found.append("head: no workers would be started")
    return found


def test_ray_accepts_the_cluster_file() -> None:
    prepared(load())


def test_a_typo_in_a_top_level_key_is_refused() -> None:
    config = load()
    config["setup_comands"] = config.pop("setup_commands")
    with pytest.raises(ValidationError, match="setup_comands"):
        prepared(config)


def test_the_cluster_file_has_no_flaw_that_ray_lets_pass() -> None:
    assert flaws(load()) == []


@pytest.mark.parametrize(
    ("before", "after", "flaw"),
    [
        ("region: us", "regoin: x\n  region: us", "provider: regoin"),
        ("InstanceType: m6i", "InstanceTpye: m6i\n      InstanceType: m6i", "head: InstanceTpye"),
        ("      ImageId: *image\n", "", "gpu: no ImageId"),
        ("InstanceType: m6i.xlarge", "InstanceType: g6.xlarge", "head: the instance type"),
        ("{CPU: 4, GPU: 1}", "{CPU: 4}", "gpu: the instance type"),
        ("setup_commands:\n  # CHANGE", "metadata:\n  setup:\n  # CHANGE", "worker: does not install"),
        (" --dashboard-host=127.0.0.1", "", "head: the dashboard"),
        ("--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "head: the dashboard"),
        ("--autoscaling-config=~/ray_bootstrap_config.yaml", "", "head: no workers"),
        ("RAY_AUTH_MODE=token ray start --address", "ray start --address", "worker: starts Ray without"),
    ],
)
def test_each_flaw_would_be_found(before: str, after: str, flaw: str) -> None:
    assert before in TEXT
    assert any(found.startswith(flaw) for found in flaws(load(TEXT.replace(before, after))))


def test_the_lines_that_are_commented_out_are_right_too() -> None:
    text = re.sub(r"# (InstanceMarketOptions:|- sudo|- mountpoint)", r"\1", TEXT)
    config = load(text)
    assert config["available_node_types"]["gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert len(config["setup_commands"]) == len(load()["setup_commands"]) + 2
    assert flaws(config) == []


def test_workers_come_only_when_they_are_needed() -> None:
    config = prepared(load())
    workers = {name: t for name, t in config["available_node_types"].items() if name != config["head_node_type"]}
    assert len(workers) == 1
    assert all(t["min_workers"] == 0 and 1 <= t["max_workers"] <= config["max_workers"] for t in workers.values())
    assert "InstanceMarketOptions" not in workers["gpu"]["node_config"]  # on demand


def test_every_node_gets_the_checkout_and_the_token_but_no_environment_results_or_data() -> None:
    config = load()
    assert config["file_mounts"] == {"~/spikeslab": ".", "~/.ray/auth_token": "~/.ray/auth_token"}
    assert {"/.venv/", "/results/", "/data/"} <= set(config["rsync_exclude"])


def test_it_names_no_registry_host() -> None:
    assert registry_hosts_in(TEXT) == []
