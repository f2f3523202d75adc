"""Which Ray a study runs on, and with whose code."""

import json
import logging
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
from ray._private import ray_constants, worker

from harness.cluster import connect as module
from harness.cluster.connect import MAX_FOLDER, PRIVATE_NAMES, check_address, connect
from harness.errors import InputError
from harness.ledger import provenance
from harness.ledger.provenance import CODE_FOLDER, hash_code
from harness.tune.driver import Driver, UnfitError
from harness.tune.engine_actor import EngineActor, EngineSpec
from harness.tune.trainable import StudyTrainable
from models.numerics.machine import count_cores

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Ray is asked for, instead of being started."""
    options: dict[str, Any] = {}
    monkeypatch.setattr(ray, "init", lambda **given: options.update(given))
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")
    return options


def test_without_an_address_ray_starts_here_on_the_cores_that_are_granted(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "count_cores", lambda: 3)
    connect(None)
    assert asked["address"] == "local"  # None would join the cluster that Ray remembers
    assert asked["num_cpus"] == 3


LOCAL_THEN_CLUSTER = """
import json, os
import ray
from harness.cluster.connect import connect, disconnect

def init(**_):
    shown.append(ray._raylet.AuthenticationTokenLoader.instance().get_raw_token(ignore_auth_mode=True))
    os.environ["RAY_AUTH_MODE"] = "token"  # as Ray does

shown = []
ray.init = init
connect(None)
own = os.environ["RAY_AUTH_TOKEN"]
disconnect()
left = [os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE")]
connect("10.0.0.2:6379")
print(json.dumps([own, left, shown]))
"""


@pytest.mark.parametrize("given", [None, "ab" * 32])
def test_the_token_of_a_ray_of_this_machine_is_gone_with_it_and_a_users_own_stays(
    tmp_path: Path, given: str | None
) -> None:
    """In a process of its own, as what it resets is that of the Ray of other tests here."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("cd" * 32)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = kept | {"HOME": str(tmp_path)} | ({} if given is None else {"RAY_AUTH_TOKEN": given})
    command = [sys.executable, "-c", LOCAL_THEN_CLUSTER]
    done = subprocess.run(command, env=environment, cwd=CODE_FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    own, left, shown = json.loads(done.stdout)
    assert left == [given, None]
    assert shown == [own, given or "cd" * 32]


@pytest.mark.parametrize("variable", ["", "10.0.0.1:6379"])
def test_an_address_is_that_of_the_variable_where_none_is_given(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", variable)
    connect(None)
    assert asked["address"] == (variable or "local")
    connect("10.0.0.2:6379")
    assert asked["address"] == "10.0.0.2:6379"
    assert "num_cpus" not in asked or not variable, "a cluster that runs has its own"


@pytest.mark.parametrize("length", [10, 60, 300])
def test_ray_gets_a_folder_whose_sockets_have_room(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    made: list[Path] = []
    folder, own = "/tmp".ljust(length, "x"), f"spikeslab-{os.getuid()}"
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: folder)
    monkeypatch.setattr(os, "access", lambda path, _: True)
    monkeypatch.setattr(module, "make_private", made.append)
    connect(None)
    is_short = length + 1 + len(own) <= MAX_FOLDER
    assert asked["_temp_dir"] == (f"{folder}/{own}/ray" if is_short else f"/tmp/{own}/ray")
    assert [f"{path}/ray" for path in made] == [asked["_temp_dir"]], "and in it only this user writes"


def test_ray_gets_no_folder_that_another_user_has_made(asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [module.private_folder(Path("/tmp"))]

    def make_private(folder: Path) -> None:
        if folder in taken:
            raise InputError("taken")

    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: "/tmp")
    monkeypatch.setattr(module, "make_private", make_private)
    connect(None)
    assert asked["_temp_dir"] == f"/var/tmp/spikeslab-{os.getuid()}/ray"
    taken += [module.private_folder(Path(shared)) for shared in ("/var/tmp", "/dev/shm")]
    with pytest.raises(InputError, match="name a short one of your own with RAY_TMPDIR"):
        connect(None)


@pytest.mark.parametrize(("part", "name"), [(part, n) for part, names in PRIVATE_NAMES.items() for n in names])
def test_a_ray_that_cannot_be_kept_on_this_machine_is_refused(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, part: str, name: str
) -> None:
    monkeypatch.delattr(f"ray._private.{part}.{name}")
    with pytest.raises(InputError, match=f"its {part} has no {name}.*install Ray 2.60"):
        connect(None)
    assert not asked


def test_what_ray_says_of_the_cluster_is_logged_and_not_printed(
    asked: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger = logging.getLogger("ray")
    monkeypatch.setattr(logger, "handlers", [caplog.handler])  # as a run sends it to ray.log
    monkeypatch.setattr(logger, "propagate", False)
    connect(None)
    before = logger.level
    logger.setLevel(asked["logging_level"])  # as ray.init does
    try:
        worker.print_to_stdstream({"lines": ["a node", "has died"], "pid": "autoscaler"}, ignore_prefix=False)
    finally:
        logger.setLevel(before)
    assert "a node\nhas died" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_a_folder_that_the_user_chose_for_ray_stays(asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/tmp".ljust(60, "x"))
    connect(None)
    assert asked["_temp_dir"] is None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError("AF_UNIX path of 107 bytes: /long\nmore"),
            r"107 bytes: /long\); unset RAY_TMPDIR, or let it name a short folder of your own",
        ),
        (Exception("The current node timed out during startup."), r"during startup\); try again when less runs here"),
    ],
)
def test_a_ray_that_cannot_start_is_one_sentence(monkeypatch: pytest.MonkeyPatch, error: Exception, said: str) -> None:
    def init(**_: object) -> None:
        raise error

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(InputError, match=said):
        connect(None)


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:1"])
def test_a_cluster_that_is_gone_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")  # as a `ray start` leaves it that was killed
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", set)  # those of other tests that run meanwhile
    with pytest.raises(InputError, match=f"--address {address}: no Ray cluster answers there"):
        check_address(address)


def test_workers_look_for_code_where_the_driver_has_it(ray_cluster: str) -> None:
    def look() -> tuple[str, str]:
        import harness

        return sys.path[0], str(harness.__file__)

    assert ray.get(ray.remote(num_cpus=0)(look).remote()) == (str(CODE_FOLDER), f"{CODE_FOLDER}/harness/__init__.py")


def test_only_this_machine_reaches_a_ray_that_was_started_here(ray_cluster: str) -> None:
    ray.get(ray.remote(num_cpus=0)(lambda: 1).remote())  # with a process for tasks
    services = psutil.Process().children(recursive=True)
    listening = [
        (connection.laddr.ip.removeprefix("::ffff:"), " ".join(process.cmdline()))
        for process in services
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 3
    assert [(ip, command) for ip, command in listening if ip not in ("127.0.0.1", "::1")] == []


def test_a_cluster_can_be_joined_after_a_ray_was_started_here(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ray_constants.ENABLE_RAY_CLUSTER
    monkeypatch.setattr(ray, "init", lambda **_: asked.update(within=ray_constants.ENABLE_RAY_CLUSTER))
    connect(None)
    assert (asked["within"], ray_constants.ENABLE_RAY_CLUSTER) == (False, before)
    assert ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR not in os.environ


def test_a_process_with_other_code_torch_or_files_trains_no_trial(tmp_path: Path) -> None:
    nothing: Any = None
    given = dict.fromkeys(("dataset", "measures", "place", "study", "metric", "report_seconds", "engines"), nothing)
    engine = EngineActor.__ray_metadata__.modified_class  # type: ignore[attr-defined]
    for driver, said in (
        (replace(Driver.here(), code="of other code"), "other code than was started"),
        (replace(Driver.here(), torch="1.0"), r"has torch 2\..*, and the machine that started it 1\.0"),
        (Driver.here(mark=str(tmp_path / "study" / "mark")), f"does not see {tmp_path / 'study'}"),
    ):
        trainable = object.__new__(StudyTrainable)
        trainable.setup({}, **given, driver=driver)
        with pytest.raises(UnfitError, match=said):
            trainable.step()
        trainable.cleanup()
        spec = EngineSpec(**dict.fromkeys((field.name for field in fields(EngineSpec)), nothing) | {"driver": driver})
        with pytest.raises(UnfitError, match=said):
            engine(spec)


@pytest.mark.parametrize("change", ["edited", "added", "renamed"])
def test_the_hash_tells_every_change_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    for name in ("harness/a.py", "models/b.py", "analysis/c.py", "tests/d.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(provenance, "CODE_FOLDER", tmp_path)
    before = hash_code.__wrapped__()
    (tmp_path / "tests/d.py").write_text("trains nothing")
    assert hash_code.__wrapped__() == before
    path = tmp_path / "models/b.py"
    match change:
        case "edited":
            path.write_text("other")
        case "added":
            (tmp_path / "models/e.py").touch()
        case "renamed":
            path.rename(tmp_path / "models/f.py")
    assert hash_code.__wrapped__() != before


@pytest.mark.parametrize("first", ["harness", "harness.cli.main", "harness.tune.trainable"])
def test_packages_of_the_same_names_come_after_our_own(tmp_path: Path, first: str) -> None:
    """In the current folder or on PYTHONPATH; `models` is a name that many a project has."""
    for name in ("models", "analysis"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a package of the user')\n")
    program = f"import {first}, models.settings, analysis.errors; print(models.__file__, analysis.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program],  # with the current folder first
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == [f"{CODE_FOLDER}/{name}/__init__.py" for name in ("models", "analysis")], done.stderr


def test_settings_of_ray_for_other_programs_are_dropped() -> None:
    names = ["TUNE_RESULT_DIR", "TUNE_DISABLE_AUTO_INIT", "RAY_AIR_LOCAL_CACHE_DIR", "RAY_RUNTIME_ENV_HOOK"]
    program = (
        "import os\nfrom harness.cluster.connect import quieten_ray\nquieten_ray()\n"
        "from ray._private import ray_constants\n"
        f"print(ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV, [n for n in {names} if n in os.environ])"
    )
    environment = os.environ | dict.fromkeys(names, "x")
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "False []"


def test_cores_are_counted_in_one_way() -> None:
    files = [path for name in ("harness", "models", "analysis") for path in (REPOSITORY / name).rglob("*.py")]
    assert [path.name for path in files if "cpu_count" in path.read_text(encoding="utf-8")] == ["machine.py"]
    assert count_cores() >= 1
