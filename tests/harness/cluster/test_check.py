"""Files of clusters: our templates are right, and each fault that can be made in them is named."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.main import app
from harness.cluster.check.file import check_file
from harness.errors import InputError
from harness.study.yamlfile import read_yaml_mapping
from tests.test_repository import ROOT, registry_hosts_in

TEMPLATES = {path.name: path for path in (ROOT / "cluster.yaml", *sorted((ROOT / "docs" / "clusters").iterdir()))}
MOUNT = "  - mountpoint -q /mnt/results || sudo mount -t nfs4 fs-CHANGE-ME.efs.us-west-2.amazonaws.com:/ /mnt/results\n"
AWS, GCP, OWN, KUBE, SLURM, SKY = (
    *("cluster.yaml", "gcp.yaml", "on-premises.yaml", "kuberay.yaml", "slurm.sh", "skypilot.yaml"),
)
BUCKET = "s3://CHANGE-ME/results"


@pytest.mark.parametrize("name", TEMPLATES)
def test_our_templates_are_right(name: str) -> None:
    _, faults, _ = check_file(TEMPLATES[name])
    assert faults == []
    assert registry_hosts_in(TEMPLATES[name].read_text()) == []


def test_there_is_a_template_of_every_kind() -> None:
    assert set(TEMPLATES) == {AWS, GCP, OWN, KUBE, SLURM, SKY}
    kinds = {check_file(path)[0] for path in TEMPLATES.values()}
    assert kinds == {"a cluster of `ray up`", "a RayJob of KubeRay", "a script of Slurm", "a task of SkyPilot"}


@pytest.mark.parametrize("name", [AWS, GCP])
def test_results_that_are_mounted_belong_to_who_trains_and_no_command_fails_while_another_installs(name: str) -> None:
    content, _ = read_yaml_mapping(TEMPLATES[name].read_text(), TEMPLATES[name])
    commands = content["setup_commands"]
    mounting = next(number for number, command in enumerate(commands) if "sudo mount " in command)
    assert commands[mounting + 1] == 'test -w /mnt/results || sudo chown "$(id -u):$(id -g)" /mnt/results'
    for command in commands:
        assert command.count(" install -y") == command.count("apt-get -o DPkg::Lock::Timeout=300 install -y")


BROKEN = [
    (AWS, "setup_commands:\n  # CHANGE", "setup_comands:\n  # CHANGE", "setup_comands: .*did you mean setup_commands?"),
    (AWS, "head_node_type: head", "head_node_type: haed", "`ray up` refuses it: "),
    (AWS, "region: us", "regoin: x\n  region: us", r"provider.regoin: unknown key; did you mean region?"),
    (AWS, "InstanceType: m6i", "InstanceTpye: x\n      InstanceType: m6i", r"InstanceTpye: .*did you mean Inst"),
    (AWS, "      ImageId: *image\n", "", r"gpu.node_config: no ImageId"),
    (AWS, "{CPU: 0}", "{CPU: 2}", r"cluster.yaml:\d+: available_node_types.head.resources: the head would train"),
    (AWS, "{CPU: 4, GPU: 1}", "{CPU: 4}", r"gpu.resources: they disagree with the instance's type about GPUs"),
    (AWS, "dashboard-host=127.0.0.1", "dashboard-host=0.0.0.0", r"start_ray_commands: --dashboard-host=0.0.0.0 lets"),
    (AWS, "--autoscaling-config=~/ray_bootstrap_config.yaml", "", "no worker is ever started"),
    (AWS, "RAY_AUTH_MODE=token ray start --address", "ray start --address", "worker_start_ray_commands: starts Ray"),
    (AWS, '  "~/.ray/auth_token": "~/.ray/auth_token"\n', "", "file_mounts: the nodes get no token"),
    (AWS, "pip install -q -c constraints.txt .", 'pip install -U "ray[default]"', "whatever Ray is the newest; pin it"),
    (AWS, "pip install -q -c constraints.txt .", "pip install ray-wheels/latest/ray-3.whl", "nightly build of Ray"),
    (AWS, "HEAD_IP:6379", "HEAD_IP:6380", "joins port 6380, but the head's is 6379"),
    (AWS, "--port=6379", '--port="6380"', "joins port 6379, but the head's is 6380"),
    (AWS, MOUNT, "", "mount no folder that every node sees"),
    (AWS, "/.venv/, ", "", "rsync_exclude: .venv would be copied to every node"),
    (AWS, "  - ray stop\n  - >-", "  - export AWS_SECRET_ACCESS_KEY=abc\n  - >-", "has the value of AWS_SECRET"),
    (AWS, "  cache_stopped", "  security_group: {IpPermissions: [{FromPort: 8265, ToPort: 8265, IpProtocol: tcp, "
     "IpRanges: [{CidrIp: 0.0.0.0/0}]}]}\n  cache_stopped", "security_group: opens ports to everyone"),
    (GCP, "machineType: n2", "machineTyp: x\n      machineType: n2", "machineTyp: .*did you mean machineType"),
    (GCP, "      guestAccelerators:\n        - {acceleratorType: nvidia-l4, acceleratorCount: 1}\n", "", "disagree"),
    (OWN, " --num-cpus=0", "", "the head would train, too; add --num-cpus=0"),
    (OWN, "worker_ips:", "worker_ip:", r"`ray up` refuses it|provider.worker_ip: unknown key"),
    (KUBE, "authOptions: {mode: token}", "authOptions: {mode: disabled}", "authOptions: whoever reaches the cluster"),
    (KUBE, 'num-cpus: "0"', 'num-cpus: "4"', "headGroupSpec.rayStartParams: the head would train"),
    (KUBE, "maxReplicas: 4", "maxReplica: 4", r"workerGroupSpecs\[0\].maxReplica: .*did you mean maxReplicas"),
    (KUBE, "spikeslab-ray:2.60.0", "spikeslab-ray:latest", "another Ray every day"),
    (KUBE, "spikeslab-ray:2.60.0", "spikeslab-ray:2.59.0", "is not of rayVersion 2.60.0"),
    (KUBE, "--results /mnt/results", "--results /mnt/other", "mounts no shared volume at /mnt/other"),
    (KUBE, "--results /mnt/results", "--results '/mnt/other'", "mounts no shared volume at /mnt/other"),
    (KUBE, "persistentVolumeClaim: {claimName: spikeslab-results}", "emptyDir: {}", "mounts no shared volume"),
    (KUBE, "valueFrom: {secretKeyRef: {name: mlflow, key: password}}", "value: hunter2", "MLFLOW_TRACKING_PASSWORD; "),
    (KUBE, "    enableInTreeAutoscaling: true\n", "", "replicas: no worker ever comes"),
    (KUBE, "    headGroupSpec:\n", "    headGroupSpec:\n      serviceType: LoadBalancer\n", "makes the dashboard"),
    (SLURM, "#SBATCH --ntasks-per-node=1\n", "", "--ntasks-per-node=1 is missing"),
    (SLURM, "#SBATCH --signal=B:TERM@120\n", "", "--signal=B:TERM@120 is missing"),
    (SLURM, "--signal=B:TERM@120", "--signal=TERM@120", "--signal without B: ends Ray at once.*=B:TERM@120"),
    (SLURM, "trap 'kill", "echo 'kill", "passes the warning of --signal on to nobody; trap TERM"),
    (SLURM, """trap 'kill -TERM "$(cat "$driver")"' TERM""", "trap 'echo TERM' EXIT", "passes the warning"),
    (SLURM, "B:TERM@120", "B:USR1@120", "passes the warning of --signal on to nobody; trap USR1"),
    (SLURM, "RAY_AUTH_MODE=token ", "", "RAY_AUTH_MODE=token"),
    (SLURM, "export RAY_TMPDIR=", "export OTHER=", "Ray uses /tmp/ray, where every user of a node may write"),
    (SLURM, "$SLURM_SUBMIT_DIR/results", "$TMPDIR/results", r"--results \$TMPDIR/results is a node's own"),
    (SLURM, 'trap \'rm', "if true; trap 'rm", "no shell script"),
    (SLURM, ' --min-nodes "$SLURM_JOB_NUM_NODES"', "", "the study begins before all nodes are there"),
    (SKY, "use_spot: true", "use_spots: true", r"resources.use_spots: .*did you mean use_spot"),
    (SKY, "  disk_size: 150", "  ports: 8265", "ports: 8265 makes the dashboard public"),
    (SKY, f"--results {BUCKET}", "--results results", "--results results is relative"),
    (SKY, BUCKET, "/mnt/results", "run: --results /mnt/results ends with the nodes; name a bucket"),
    (SKY, "--port=6479", "--port=6380", "port 6380 is that of SkyPilot's own Ray"),
    (SKY, "--port=6479", "--port='6380'", "port 6380 is that of SkyPilot's own Ray"),
    (SKY, f"--results {BUCKET}", '--results "/mnt/other"', "--results /mnt/other ends with the nodes"),
    (SKY, "  source ~/venv", "  ray stop\n  source ~/venv", "ends SkyPilot's own Ray"),
    (SKY, "secrets:\n  RAY_AUTH_TOKEN: null", "envs:\n  RAY_AUTH_TOKEN: abc", "RAY_AUTH_TOKEN: its value stands in"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "before", "after", "said"), BROKEN)
def test_each_fault_is_named(tmp_path: Path, name: str, before: str, after: str, said: str) -> None:
    text = TEMPLATES[name].read_text()
    assert before in text
    path = tmp_path / name
    path.write_text(text.replace(before, after))
    _, faults, _ = check_file(path)
    assert faults
    assert any(Path(fault.partition(":")[0]) == path for fault in faults)
    assert [fault for fault in faults if re.search(said, fault)], faults


@pytest.mark.parametrize("own", ["", "SecurityGroupIds: [sg-1]", "IamInstanceProfile: {Name: head}"])
def test_the_rights_that_ray_gives_on_aws_are_told_one_by_one_and_are_no_fault(tmp_path: Path, own: str) -> None:
    path = tmp_path / AWS
    text = TEMPLATES[AWS].read_text()
    path.write_text(text.replace("      InstanceType: m6i", f"      {own}\n      InstanceType: m6i"))
    _, faults, notes = check_file(path)
    told = re.findall(r"types\.(\w+)\.node_config: no (\w+), so that Ray", "\n".join(notes))
    expected = [("head", "SecurityGroupIds"), ("head", "IamInstanceProfile"), ("gpu", "SecurityGroupIds")]
    assert (faults, told) == ([], [(node, name) for node, name in expected if node != "head" or name not in own])


def test_the_group_and_the_role_that_our_template_offers_are_right(tmp_path: Path) -> None:
    path = tmp_path / AWS
    path.write_text(re.sub("# (SecurityGroupIds|IamInstanceProfile): ", r"\1: ", TEMPLATES[AWS].read_text()))
    _, faults, notes = check_file(path)
    assert faults == []
    assert [note for note in notes if "sg-CHANGE-ME: still to be filled in" in note]
    types = read_yaml_mapping(path.read_text(), path)[0]["available_node_types"].values()
    assert [node["node_config"]["SecurityGroupIds"] for node in types] == [["sg-CHANGE-ME"]] * 2


@pytest.mark.parametrize("name", [AWS, SLURM, SKY])
@pytest.mark.parametrize("host", ['"127.0.0.1"', "'localhost'", "::1", '"::1"; date'])
def test_a_dashboard_that_this_machine_alone_reaches_is_no_fault(tmp_path: Path, name: str, host: str) -> None:
    path = tmp_path / name
    path.write_text(TEMPLATES[name].read_text().replace("--dashboard-host=127.0.0.1", f"--dashboard-host={host}"))
    assert check_file(path)[1] == []


@pytest.mark.parametrize("name", [AWS, SLURM, SKY])
@pytest.mark.parametrize("host", ["0.0.0.0", '"0.0.0.0"', "'$HOST'"])
def test_a_dashboard_that_others_reach_is_a_fault(tmp_path: Path, name: str, host: str) -> None:
    path = tmp_path / name
    path.write_text(TEMPLATES[name].read_text().replace("--dashboard-host=127.0.0.1", f"--dashboard-host {host}"))
    (fault,) = check_file(path)[1]
    assert "--dashboard-host={} lets others reach".format(host.strip("\"'")) in fault


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (SKY, f"--results {BUCKET}", '--results "s3://bucket/results"'),
        (SKY, f"--results {BUCKET}", "--results='s3://bucket/results'"),
        (KUBE, "--results /mnt/results", '--results "/mnt/results"'),
        (KUBE, "entrypoint: spikeslab run", "entrypoint: echo 'x'; spikeslab run"),
        (KUBE, "--results /mnt/results", "--results /mnt/results' && echo 'done"),  # in a command in quotes
        (OWN, "--num-cpus=0", '--num-cpus="0"'),
        (AWS, "--port=6379", '--port="6379"'),
    ],
)
def test_a_value_in_quotes_is_no_fault(tmp_path: Path, name: str, before: str, after: str) -> None:
    text = TEMPLATES[name].read_text()
    assert before in text
    path = tmp_path / name
    path.write_text(text.replace(before, after))
    assert check_file(path)[1] == []


@pytest.mark.parametrize(
    ("mounted", "said"),
    [
        ("volumes: {/mnt/results: my-volume}", None),
        ("file_mounts: {/mnt/results: {source: s3://a, mode: MOUNT}}", "results/a is a mounted bucket"),
        ("file_mounts: {/mnt: {source: s3://a}}", "results/a is a mounted bucket"),
        ("file_mounts: {/mnt/results: {source: s3://a, mode: COPY}}", "results/a ends with the nodes"),
    ],
)
def test_results_of_skypilot_are_in_a_bucket_itself_or_a_volume(tmp_path: Path, mounted: str, said: str | None) -> None:
    path = tmp_path / SKY
    path.write_text(TEMPLATES[SKY].read_text().replace(BUCKET, '"/mnt/results/a"') + mounted + "\n")
    faults = check_file(path)[1]
    assert len(faults) == (said is not None)
    assert said is None or said in faults[0]


def test_the_command_prints_a_sentence_for_each_fault(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    text = TEMPLATES[AWS].read_text()
    path.write_text(text.replace("{CPU: 0}", "{CPU: 2}").replace("host=127.0.0.1", "host=0.0.0.0"))
    done = CliRunner().invoke(app, ["cluster", "check", str(path)])
    assert done.exit_code == 2
    assert [line.startswith("error: ") for line in done.stderr.splitlines()] == [True, True]
    good = CliRunner().invoke(app, ["cluster", "check", str(TEMPLATES[AWS])])
    assert (good.exit_code, good.stderr) == (0, "")
    assert "ami-CHANGE-ME: still to be filled in" in good.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: RayJob\napiVersion: ray.io/v1\nspec: hello\n", "x.yaml:3: spec: should hold fields"),
        (
            "kind: RayCluster\nspec:\n  headGroupSpec: {template: {spec: {containers: {a: 1}}}}\n",
            "containers: should be a list",
        ),
        ("kind: RayCluster\nspec:\n  workerGroupSpecs: [a]\n", r"workerGroupSpecs\[0\]: should hold fields"),
        ("kind: RayCluster\nspec:\n  authOptions: token\n", "authOptions: should hold fields"),
        ("run: x\nenvs: [A=b]\n", "x.yaml:2: envs: should hold fields"),
        ("run: x\nfile_mounts: [a]\nresources: 3\n", "resources: should hold fields"),
    ],
)
def test_a_section_of_another_kind_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert any(re.search(said, fault) for fault in check_file(path)[1]), check_file(path)[1]


@pytest.mark.parametrize("text", ["name: tiny\nspace: []\n", "- a list\n", "a: [\n", "\0"])
def test_what_is_no_cluster_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(InputError):
        check_file(path)


def test_a_new_clusters_workers_come_only_when_they_are_needed() -> None:
    config, _ = read_yaml_mapping(TEMPLATES[AWS].read_text(), TEMPLATES[AWS])
    workers = {name: t for name, t in config["available_node_types"].items() if name != config["head_node_type"]}
    assert len(workers) == 1
    assert all(t["min_workers"] == 0 and 1 <= t["max_workers"] <= config["max_workers"] for t in workers.values())
