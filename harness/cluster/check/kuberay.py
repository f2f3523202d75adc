"""Resources of KubeRay, as kubectl applies them: RayJob and RayCluster."""

import re
from collections.abc import Iterator
from typing import Any

from harness.cluster.check.findings import SECRET, Findings, find_values
from harness.study.yamlfile import FieldPath

# fmt: off
JOB_KEYS = (
    "activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint", "entrypointNumCpus",
    "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata", "rayClusterSpec", "runtimeEnvYAML",
    "shutdownAfterJobFinishes", "submissionMode", "submitterConfig", "submitterPodTemplate", "suspend",
    "ttlSecondsAfterFinished", "preRunningDeadlineSeconds",
)
CLUSTER_KEYS = (
    "authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec",
    "headServiceAnnotations", "managedBy", "networkPolicy", "rayVersion", "suspend", "upgradeStrategy",
    "workerGroupSpecs",
)
GROUP_KEYS = (
    "enableIngress", "groupName", "headService", "idleTimeoutSeconds", "labels", "maxReplicas", "minReplicas",
    "numOfHosts", "rayStartParams", "replicas", "resources", "scaleStrategy", "serviceType", "suspend", "template",
)
# fmt: on


def check_kuberay(content: dict[str, Any], findings: Findings) -> None:
    """Note what is wrong with a RayJob or RayCluster."""
    where: FieldPath = ("spec",)
    spec = findings.mapping(where, content.get("spec"))
    if not str(content.get("apiVersion")).startswith("ray.io/v1"):
        findings.add(("apiVersion",), "not KubeRay's; write ray.io/v1")
    if content.get("kind") == "RayJob":
        findings.check_keys(where, spec, JOB_KEYS)
        entrypoint = str(spec.get("entrypoint") or "")
        if "--results" not in entrypoint:
            findings.add(
                (*where, "entrypoint"), "has no --results, and a job's folder ends with it; name a volume's folder"
            )
        findings.check_results((*where, "entrypoint"), entrypoint)
        findings.check_commands((*where, "entrypoint"), entrypoint)
        where = ("spec", "rayClusterSpec")
        cluster = findings.mapping(where, spec.get("rayClusterSpec"))
    else:
        entrypoint, cluster = "", spec
    findings.check_keys(where, cluster, CLUSTER_KEYS)
    if findings.mapping((*where, "authOptions"), cluster.get("authOptions")).get("mode") != "token":
        findings.add((*where, "authOptions"), "whoever reaches the cluster runs code; write authOptions: {mode: token}")
    _check_groups(cluster, where, findings)
    for results in find_values("--results", entrypoint):
        if results.startswith("/"):
            _check_volumes(cluster, where, results, findings)


def _check_groups(cluster: dict[str, Any], where: FieldPath, findings: Findings) -> None:
    for path, group, is_head in _list_groups(cluster, where, findings):
        findings.check_keys(path, group, GROUP_KEYS)
        start = findings.mapping((*path, "rayStartParams"), group.get("rayStartParams"))
        if is_head and str(start.get("num-cpus")) != "0":
            findings.add((*path, "rayStartParams"), 'the head would train, too; write {num-cpus: "0"}')
        if is_head and group.get("serviceType") in ("LoadBalancer", "NodePort"):
            findings.add((*path, "serviceType"), f"{group['serviceType']} makes the dashboard public; leave it out")
        low, high = group.get("minReplicas", 0), group.get("maxReplicas")
        if isinstance(high, int) and isinstance(low, int) and low > high:
            findings.add((*path, "minReplicas"), f"{low} is more than maxReplicas, {high}; make it smaller")
        if not is_head and not group.get("replicas", low) and not cluster.get("enableInTreeAutoscaling"):
            findings.add((*path, "replicas"), "no worker ever comes; write enableInTreeAutoscaling: true")
        for index, container in enumerate(_list_of_pod("containers", group, path, findings)):
            place = (*path, "template", "spec", "containers", index)
            _check_image(str(container.get("image") or ""), cluster.get("rayVersion"), (*place, "image"), findings)
            for variable in findings.mappings((*place, "env"), container.get("env")):
                if SECRET.search(str(variable.get("name"))) and "value" in variable:
                    findings.add(
                        (*place, "env"), f"has the value of {variable['name']}; take it from a Secret with valueFrom"
                    )


def _check_image(image: str, version: object, where: FieldPath, findings: Findings) -> None:
    tag = image.rpartition(":")[2] if ":" in image.rpartition("/")[2] else ""
    if not tag or tag in ("latest", "nightly"):
        findings.add(where, f"{image or 'missing'}: another Ray every day; name a release, as rayVersion has it")
    elif version and "ray" in image and re.match(r"\d", tag) and not tag.startswith(str(version)):
        findings.add(where, f"{image} is not of rayVersion {version}; make them one")


def _check_volumes(cluster: dict[str, Any], where: FieldPath, results: str, findings: Findings) -> None:
    for path, group, _ in _list_groups(cluster, where, findings):
        volumes = {str(v.get("name")): v for v in _list_of_pod("volumes", group, path, findings)}
        mounts = [
            mount
            for index, container in enumerate(_list_of_pod("containers", group, path, findings))
            for mount in findings.mappings(
                (*path, "template", "spec", "containers", index, "volumeMounts"), container.get("volumeMounts")
            )
        ]
        holding = [m for m in mounts if f"{results}/".startswith(f"{str(m.get('mountPath')).rstrip('/')}/")]
        kept = [
            m for m in holding if {"persistentVolumeClaim", "nfs", "csi"} & set(volumes.get(str(m.get("name")), {}))
        ]
        if not kept:
            findings.add((*path, "template"), f"mounts no shared volume at {results}, where results go; add the claim")


def _list_groups(
    cluster: dict[str, Any], where: FieldPath, findings: Findings
) -> Iterator[tuple[FieldPath, dict[str, Any], bool]]:
    head = (*where, "headGroupSpec")
    yield head, findings.mapping(head, cluster.get("headGroupSpec")), True
    workers = (*where, "workerGroupSpecs")
    for index, group in enumerate(findings.mappings(workers, cluster.get("workerGroupSpecs"))):
        yield (*workers, index), group, False


def _list_of_pod(field: str, group: dict[str, Any], path: FieldPath, findings: Findings) -> list[dict[str, Any]]:
    """The containers or the volumes of a group's pods."""
    template = findings.mapping((*path, "template"), group.get("template"))
    spec = findings.mapping((*path, "template", "spec"), template.get("spec"))
    return findings.mappings((*path, "template", "spec", field), spec.get(field))
