"""Cluster files of `ray up`: what Ray's schema says, offline, and what Ray lets pass."""

import copy
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from analysis.wording import find_near
from harness.cluster.check.findings import SHARED, Findings, find_values

EC2 = (
    *("BlockDeviceMappings", "CapacityReservationSpecification", "EbsOptimized", "IamInstanceProfile", "ImageId"),
    *("InstanceMarketOptions", "InstanceType", "KeyName", "LaunchTemplate", "MetadataOptions", "Monitoring"),
    *("NetworkInterfaces", "Placement", "SecurityGroupIds", "SubnetIds", "TagSpecifications", "UserData"),
)
"""What EC2's RunInstances takes, as far as a cluster could need it, and SubnetIds, which Ray splits up."""

COMPUTE_ENGINE = (
    *("acceleratorType", "canIpForward", "disks", "guestAccelerators", "labels", "machineType", "metadata"),
    *("minCpuPlatform", "networkInterfaces", "scheduling", "serviceAccounts", "shieldedInstanceConfig", "tags"),
)
"""What Compute Engine's instances.insert takes, as far as a cluster could need it."""

NODE_CONFIG: Mapping[str, tuple[str, ...]] = {"aws": EC2, "gcp": COMPUTE_ENGINE}
PROVIDER: Mapping[str, tuple[str, ...]] = {
    "aws": ("type", "region", "availability_zone", "cache_stopped_nodes", "security_group", "use_internal_ips"),
    "gcp": ("type", "region", "availability_zone", "project_id", "cache_stopped_nodes", "use_internal_ips"),
    "local": ("type", "head_ip", "worker_ips", "external_head_ip", "coordinator_address"),
}
SETUP = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
GPU_TYPE = re.compile(r"(g|p)\d")  # of EC2's instance types


def check_ray_up(content: dict[str, Any], findings: Findings) -> None:
    """Note what is wrong with a cluster file of `ray up`."""
    kind = content.get("provider", {}).get("type") if isinstance(content.get("provider"), dict) else None
    full = _prepare(content, findings)
    if full is None:
        return
    findings.check_keys(("provider",), full["provider"], PROVIDER.get(str(kind), full["provider"]))
    for name, node_type in full.get("available_node_types", {}).items():
        _check_node_type(name, node_type, str(kind), is_head=name == full.get("head_node_type"), findings=findings)
    _check_exposure(full, findings)
    _check_start(full, findings)
    _check_setup(content, full, findings)


def _prepare(content: dict[str, Any], findings: Findings) -> dict[str, Any] | None:
    """The file with Ray's defaults filled in, as `ray up` uses it; None where it would not begin."""
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    logging.getLogger("ray.autoscaler").setLevel(logging.ERROR)  # of defaults that it fills in
    try:
        full: dict[str, Any] = prepare_config(copy.deepcopy(content))
        validate_config(full)
    except ValidationError as error:
        unknown = re.findall(r"'(\w+)' (?:was|were) unexpected", error.message)
        known = list(error.schema.get("properties", {})) if isinstance(error.schema, dict) else []
        near = [match for name in unknown if (match := find_near(name, known))]
        where = (*map(str, error.absolute_path), *unknown[:1])
        findings.add(where, f"{error.message.splitlines()[0]}{f'; did you mean {near[0]}?' if near else ''}")
    except Exception as error:  # Ray raises many kinds
        findings.add((), f"`ray up` refuses it: {str(error).strip().splitlines()[0]}")
    else:
        return full
    return None


def _check_node_type(name: str, node_type: dict[str, Any], kind: str, *, is_head: bool, findings: Findings) -> None:
    where = ("available_node_types", name)
    config, resources = node_type.get("node_config") or {}, node_type.get("resources") or {}
    findings.check_keys((*where, "node_config"), config, NODE_CONFIG.get(kind, config))
    if is_head and (resources.get("CPU") != 0 or resources.get("GPU")) and kind != "local":
        findings.add(
            (*where, "resources"), "the head would train, too; write {CPU: 0}, and let workers come for trials"
        )
    if kind == "aws" and "ImageId" not in config:
        findings.add((*where, "node_config"), "no ImageId, and Ray's own image is too old; name one with Python 3.11")
    given_by_ray = {"SecurityGroupIds": "opens port 22 to everyone"}
    if is_head:
        given_by_ray["IamInstanceProfile"] = "gives the head all rights on EC2 and S3"
    for own, effect in given_by_ray.items() if kind == "aws" else ():
        if own not in config:
            said = f"no {own}, so that Ray {effect}; better name your own"
            findings.add((*where, "node_config"), said, is_fault=False)
    has_gpu = bool(GPU_TYPE.match(str(config.get("InstanceType", ""))) or config.get("guestAccelerators"))
    if kind in NODE_CONFIG and not is_head and has_gpu != bool(resources.get("GPU")):
        findings.add((*where, "resources"), "they disagree with the instance's type about GPUs; write what it has")
    if not is_head and not node_type.get("max_workers", 1):
        findings.add((*where, "max_workers"), "0, so that no such node ever comes; write 1 or more")


def _check_exposure(full: dict[str, Any], findings: Findings) -> None:
    findings.check_dashboard(("head_start_ray_commands",), _join(full, "head_start_ray_commands"))
    group = full["provider"].get("security_group") or {}
    for rule in group.get("IpPermissions") or [] if isinstance(group, dict) else []:
        ranges = [
            entry.get("CidrIp", entry.get("CidrIpv6"))
            for key in ("IpRanges", "Ipv6Ranges")
            for entry in rule.get(key, [])
        ]
        if {"0.0.0.0/0", "::/0"} & set(ranges) and rule.get("FromPort") != 22:
            findings.add(("provider", "security_group"), "opens ports to everyone; leave all but 22 closed")


def _check_start(full: dict[str, Any], findings: Findings) -> None:
    for role in ("head", "worker"):
        field = f"{role}_start_ray_commands"
        commands = map(str, full.get(field) or ())  # each in a shell of its own
        if any("ray start" in command and "RAY_AUTH_MODE=token" not in command for command in commands):
            findings.add((field,), "starts Ray without its token, so that whoever reaches it runs code; "
                         "write RAY_AUTH_MODE=token ray start")  # fmt: skip
    if not any(str(target).endswith(".ray/auth_token") for target in full.get("file_mounts") or {}):
        findings.add(("file_mounts",), 'the nodes get no token; add "~/.ray/auth_token": "~/.ray/auth_token"')
    head = _join(full, "head_start_ray_commands")
    if full["provider"].get("type") == "local" and "0" not in find_values("--num-cpus", head):
        findings.add(("head_start_ray_commands",), "the head would train, too; add --num-cpus=0 --num-gpus=0")
    if "--autoscaling-config=" not in head:
        findings.add(
            ("head_start_ray_commands",),
            "without --autoscaling-config=~/ray_bootstrap_config.yaml no worker is ever started; add it",
        )
    port = (find_values("--port", head) or ["6379"])[0]
    for theirs in re.findall(r"RAY_HEAD_IP:(\d+)", _join(full, "worker_start_ray_commands")):
        if theirs != port:
            findings.add(("worker_start_ray_commands",), f"joins port {theirs}, but the head's is {port}; write {port}")


def _check_setup(content: dict[str, Any], full: dict[str, Any], findings: Findings) -> None:
    is_image = bool((content.get("docker") or {}).get("image"))
    image = str((content.get("docker") or {}).get("image", ""))
    if is_image and (":" not in image or re.search(r":(latest|nightly)", image)):
        findings.add(("docker", "image"), f"{image} is another Ray every day; name a release, such as :2.60.0-py311")
    if not is_image and not content.get("setup_commands"):
        findings.add(
            ("setup_commands",), "missing, so that Ray installs a nightly build of its own; add those of cluster.yaml"
        )
    for field in (*SETUP, "head_start_ray_commands", "worker_start_ray_commands"):
        findings.check_commands((field,), _join(content, field))
    given = " ".join(_list_commands(content))
    if not SHARED.search(given):
        findings.add(
            ("setup_commands",),
            "mount no folder that every node sees, for results; add it for all nodes, unless studies run with "
            "--results s3://bucket/path",
        )
    if "." in map(str, (full.get("file_mounts") or {}).values()):
        excluded = " ".join(map(str, full.get("rsync_exclude") or []))
        for folder in (".venv", "results", "data"):
            if folder not in excluded:
                findings.add(("rsync_exclude",), f"{folder} would be copied to every node; add /{folder}/")


def _join(content: dict[str, Any], field: str) -> str:
    return "\n".join(map(str, content.get(field) or []))


def _list_commands(content: dict[str, Any]) -> Iterator[str]:
    for field in SETUP:
        yield _join(content, field)
    yield from map(str, (content.get("docker") or {}).get("run_options") or [])
