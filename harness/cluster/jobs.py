"""Studies as jobs of a Ray cluster, submitted over HTTP. Imports Ray, so import it after calling `quieten_ray`."""

import logging
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient

from harness.cluster import DASHBOARD
from harness.cluster.connect import answers
from harness.cluster.greeting import ANSWER_SECONDS, describe_token, keep_token
from harness.errors import InputError, first_line, hide_secrets
from harness.proxies import spare_this_machine

REQUEST_SECONDS = 60.0  # the package is uploaded in one request
POLL_SECONDS, MAX_POLL_SECONDS = 1.0, 30.0
READ_SHARE = 0.05  # of the time, up to the longest pause, that reading a log anew, all of it, may take
PATIENCE_SECONDS = 120.0  # without an answer, after which a log is followed no longer

STOP_SECONDS = 600
"""How long a job may take to end once it is asked to: it stores what trains, and writes its tables."""

STUDY, RESULTS = "spikeslab.study", "spikeslab.results"
"""What is noted of a job, for all who may read the cluster's jobs."""

ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
STOPPED_STATUS = 128 + 15  # as a shell says that TERM ended a process

PROGRESS = re.compile(r"\d+(?: of |/)\d+ trials (?:are )?done(?:, \d+ (?:running|failed|diverged))*")
"""Lines of a job's log that say how far its study is."""


@dataclass(frozen=True)
class Job:
    """A study that was submitted to a cluster."""

    name: str
    study: str
    results: str
    status: str  # as Ray has it: PENDING, RUNNING, SUCCEEDED, FAILED, STOPPED
    began: float | None  # seconds since 1970
    ended: float | None
    exit_status: int | None
    message: str

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.status in ENDED

    @classmethod
    def of(cls, details: JobDetails) -> "Job":
        """The job that Ray describes."""
        code = details.driver_exit_code
        if details.status == "STOPPED":
            code = STOPPED_STATUS
        return cls(
            name=str(details.submission_id),
            study=details.metadata[STUDY],
            results=details.metadata[RESULTS],
            status=str(details.status.value),
            began=details.start_time / 1000 if details.start_time else None,
            ended=details.end_time / 1000 if details.end_time else None,
            exit_status=code,
            message=details.message or "",
        )


class _Client(JobSubmissionClient):  # type: ignore[misc]
    """Ray's client, which would wait for ever for an answer."""

    def _do_request(self, method: str, path: str, **options: Any) -> requests.Response:
        seconds = ANSWER_SECONDS if path == "/api/version" else REQUEST_SECONDS
        response: requests.Response = super()._do_request(method, path, timeout=seconds, **options)
        return response

    def read_version(self) -> str:
        """The version of Ray that the cluster runs."""
        return str(self._do_request("GET", "/api/version").json()["ray_version"])


class Jobs:
    """The jobs of one cluster. Each method raises InputError where the cluster does not answer, or wants a token."""

    def __init__(self, address: str) -> None:
        """address: of the cluster's dashboard, http://HOST:PORT.

        Raises:
            InputError: it is no such address, nothing answers there, or another version of Ray does.
        """
        self.address = address.rstrip("/")
        if not re.fullmatch(r"https?://[^/]+", self.address):
            raise InputError(f"--address {address}: no address of a dashboard; write it as {DASHBOARD}")
        port = ("", ":80", ":443")[0 if re.search(r":\d+$", self.address) else 1 + self.address.startswith("https")]
        if not answers(self.address + port):
            raise self._refuse("no Ray dashboard answers there")
        for module in ("dashboard.modules.dashboard_sdk", "_private.runtime_env.packaging"):
            logging.getLogger(f"ray.{module}").setLevel(logging.ERROR)  # of packages that it makes and uploads
        keep_token()
        spare_this_machine()
        with self._telling():
            try:
                self._client = _Client(self.address)
                theirs = self._client.read_version()
            except (requests.JSONDecodeError, KeyError):
                raise self._refuse("what answers there is no Ray dashboard") from None
        if theirs.split(".")[:2] != ray.__version__.split(".")[:2]:
            raise InputError(
                f"--address {self.address}: the cluster runs Ray {theirs}, and this machine Ray {ray.__version__}; "
                "install the same version on both"
            )

    def _refuse(self, reason: str) -> InputError:
        return InputError(
            f"--address {hide_secrets(self.address)}: {reason}; on the head, `ray start --head` starts one, and "
            f"`ssh -N -L 8265:127.0.0.1:8265 HEAD` brings it to {DASHBOARD}"
        )

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn what Ray and the network raise into one sentence."""
        try:
            yield
        except AuthenticationError:
            raise InputError(f"--address {self.address}: {describe_token()}") from None
        except (ConnectionError, requests.RequestException):
            raise self._refuse("the dashboard does not answer any more") from None
        except RuntimeError as error:
            raise InputError(f"--address {self.address}: {first_line(error)}; see the cluster's logs") from None

    def list(self) -> "list[Job]":
        """List the studies that were submitted to the cluster, oldest first."""
        with self._telling():
            details = [job for job in self._client.list_jobs() if STUDY in (job.metadata or {}) and job.submission_id]
        return sorted(map(Job.of, details), key=lambda job: job.began or 0)

    def find(self, name: str) -> Job:
        """Find a job.

        Raises:
            InputError: the cluster has no job of that name.
        """
        jobs = {job.name: job for job in self.list()}
        if name not in jobs:
            known = ", ".join(list(jobs)[-5:]) or "none at all"
            raise InputError(f"{name}: no such job; the cluster's latest are {known}, and `spikeslab jobs` lists all")
        return jobs[name]

    def submit(self, study: str, results: str, package: Path, arguments: Sequence[str]) -> str:
        """Submit a study as a job; returns its name. arguments: of `spikeslab`, run in a copy of the package's folder.

        Raises:
            InputError: a job runs this study into these results already.
        """
        jobs = self.list()
        for job in jobs:
            if (job.study, job.results) == (study, results) and not job.has_ended:
                raise self._refuse_twin(job)
        # The next number is taken by only one of two that submit it at once; jobs before it may have been deleted.
        numbers = [job.name.removeprefix(f"{study}-") for job in jobs if job.study == study]
        name = f"{study}-{1 + max((int(number) for number in numbers if number.isdecimal()), default=0)}"
        with self._telling():
            self._client.submit_job(
                entrypoint=shlex.join(["exec", "python3", "-m", "harness", *arguments]),
                submission_id=name,
                metadata={STUDY: study, RESULTS: results},
                runtime_env={
                    "working_dir": str(package),
                    "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)},
                },
            )
        return name

    def _refuse_twin(self, job: Job) -> InputError:
        return InputError(
            f"{job.study} runs already as {job.name}, into {job.results}; see it with `spikeslab logs {job.name} "
            f"--follow`, or end it with `spikeslab stop {job.name}`"
        )

    def read_log(self, name: str) -> str:
        """Read what a job has printed so far."""
        with self._telling():
            log: str = self._client.get_job_logs(name)
        return log

    def follow(self, name: str) -> Iterator[str]:
        """Yield what a job has printed, and then what it prints, until it ends; short losses of the network pass."""
        shown, heard, pause = 0, time.monotonic(), POLL_SECONDS
        while True:
            try:
                has_ended = self.find(name).has_ended  # asked before its log is read, whose end would else be missing
                began = time.monotonic()
                log = self.read_log(name)
            except InputError as error:
                if time.monotonic() - heard > PATIENCE_SECONDS:
                    again = f"if {name} has ended with its head, submit the study again: what was trained is stored"
                    raise InputError(f"{error}; {again}") from None
            else:
                heard = time.monotonic()
                pause = min(max(POLL_SECONDS, (heard - began) / READ_SHARE), MAX_POLL_SECONDS)
                if len(log) > shown:
                    yield log[shown:]
                    shown = len(log)
                if has_ended:
                    return
            time.sleep(pause)

    def stop(self, name: str) -> Job:
        """Ask a job to end, as Ctrl-C asks a run, and wait until it has; returns how it ended."""
        job = self.find(name)
        if not job.has_ended:
            with self._telling():
                self._client.stop_job(name)
        while not job.has_ended:
            time.sleep(POLL_SECONDS)
            job = self.find(name)
        return job

    def describe_progress(self, job: Job) -> str:
        """How far a job's study is, in its own words; empty where it has said nothing yet."""
        said = PROGRESS.findall(self.read_log(job.name))
        return said[-1] if said else ""
