"""Cores and processor, as the system grants and names them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.numerics.machine import count_cores, is_fatal, is_out_of_memory, name_cpu


def test_cores_are_those_a_container_is_granted(tmp_path: Path) -> None:
    group, own = tmp_path / "jobs/7/step", tmp_path / "own"
    group.mkdir(parents=True)
    own.write_text("0::/jobs/7/step\n")
    without = count_cores(tmp_path, own)
    assert without >= 1
    for text, expected in (("max 100000\n", without), ("50000 100000\n", 1), ("100000000 100000\n", without)):
        for place in (group, group.parent, tmp_path):  # a job's step, the job around it, all of the container
            (place / "cpu.max").write_text(text)
            assert count_cores(tmp_path, own) == expected
            (place / "cpu.max").unlink()


def test_cores_are_those_an_old_control_group_grants(tmp_path: Path) -> None:
    group, own = tmp_path / "cpu,cpuacct" / "job", tmp_path / "own"
    group.mkdir(parents=True)
    own.write_text("9:memory:/other\n4:cpu,cpuacct:/job\n0::/\n")
    (group / "cpu.cfs_period_us").write_text("100000\n")
    for quota, expected in (("-1\n", count_cores(tmp_path, tmp_path / "none")), ("70000\n", 1)):
        (group / "cpu.cfs_quota_us").write_text(quota)
        assert count_cores(tmp_path, own) == expected


@pytest.mark.parametrize("name", ["SLURM_CPUS_ON_NODE", "NSLOTS", "LSB_DJOB_NUMPROC"])
def test_a_batch_system_lowers_the_count_of_cores_and_never_raises_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for word, expected in (("3", 3), ("64", 8), ("0", 8), ("", 8), ("4(x2)", 8), ("-1", 8), ("²", 8)):
        monkeypatch.setenv(name, word)
        assert count_cores(tmp_path, tmp_path / "none") == expected


def test_cores_are_those_this_process_is_bound_to() -> None:
    program = "from models.numerics.machine import count_cores; print(count_cores())"
    bound = f"import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); {program}"
    done = subprocess.run([sys.executable, "-c", bound], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "1\n"


def test_the_processor_is_named_where_the_system_tells(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(
        "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t: a b\n\nprocessor\t: 1\nmodel name\t: AMD EPYC\n"
    )
    assert name_cpu(cpuinfo) == "AMD EPYC"
    cpuinfo.write_text("processor\t: 0\nCPU implementer\t: 0x41\n")
    assert name_cpu(cpuinfo)


@pytest.mark.parametrize(
    ("error", "fatal"),
    [
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("alpha"), False),
    ],
)
def test_an_error_of_the_device_or_for_want_of_memory_is_everyones(error: Exception, fatal: bool) -> None:
    assert is_fatal(error) is fatal


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True),
        (torch.AcceleratorError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation'"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("Triton Error [CUDA]: out of memory"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory"), True),
        (MemoryError(), True),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm"), False),
        (ValueError("alpha: 2 is out of range"), False),
    ],
)
def test_want_of_memory_is_known_by_what_torch_and_its_libraries_say(error: Exception, lacks: bool) -> None:
    assert is_out_of_memory(error) is lacks
    assert is_fatal(error) or not lacks
