"""Description of this machine, peak memory of this process, and errors that end it."""

import math
import os
import platform
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


def describe_hardware(*, with_gpu: bool) -> dict[str, Any]:
    """Return names, versions and sizes, as plain JSON values. with_gpu: whether to look for a GPU, by its driver."""
    import torch  # here, so that name_cpu and count_cores need no torch

    gpu = torch.cuda.get_device_properties(0) if with_gpu and torch.cuda.is_available() else None
    return {
        "cpu": name_cpu(),
        "num_cores": count_cores(),
        "memory_gb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9,
        "gpu": gpu and gpu.name,
        "gpu_memory_gb": gpu and gpu.total_memory / 1e9,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def name_cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name, or its architecture if the system does not know the name."""
    names = re.findall(r"^model name\s*: (.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


GRANTS = ("SLURM_CPUS_ON_NODE", "NSLOTS", "LSB_DJOB_NUMPROC")
"""Where Slurm, Grid Engine and LSF tell a job how many cores it has on this machine.

Not SLURM_CPUS_PER_TASK: a job of eight tasks of one core each has eight, and one driver to use them all."""


def count_cores(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Count the cores that this process may use: those it is bound to, or fewer if its job is granted less.

    A batch system need not bind its jobs, so its word counts, too, where it is less.
    groups: control groups, of version 1 or 2. own: says which of them the process is in.
    """
    granted: list[float] = [len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1]
    granted += [int(word) for name in GRANTS if (word := os.environ.get(name, "")).isdecimal() and int(word)]
    for line in own.read_text().splitlines() if own.exists() else ():
        _, controllers, name = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            group = groups / controllers / name.strip("/")
            # A group has no more than each of those around it.
            granted += [_read_grant(part) for part in (group, *group.parents) if part.is_relative_to(groups)]
    return max(math.ceil(min(granted)), 1)


def _read_grant(group: Path) -> float:
    """Return how many cores' CPU time a control group is granted."""
    with suppress(OSError, ValueError):  # it is not there, or has no limit: then its quota is `max`
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota, period = ((group / f"cpu.cfs_{part}_us").read_text() for part in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    return math.inf


OF_DEVICE = ("CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS")
"""What torch's plain RuntimeErrors say where a library of the card failed."""

NO_MEMORY = re.compile(r"out of memory|_ALLOC(ATION)?_FAILED|DefaultCPUAllocator", re.IGNORECASE)
"""What RuntimeErrors say of the memory of a card, by CUDA, Triton or a library, or of the machine, by torch."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error that came up in training or measuring says that memory was lacking."""
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and NO_MEMORY.search(str(error)) is not None
    )


def is_fatal(error: Exception) -> bool:
    """Whether no trial of this process can go on, whichever met the error: memory is lacking, or the device failed."""
    import torch

    is_of_device = isinstance(error, RuntimeError) and any(words in str(error) for words in OF_DEVICE)
    return isinstance(error, torch.AcceleratorError) or is_of_device or is_out_of_memory(error)


def forget_peak_memory(device: str) -> None:
    """Reset the peak of memory, so that only later use counts. device: cpu or cuda."""
    if device != "cpu":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):  # only Linux has this file; elsewhere the old peak stays
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def read_peak_memory(device: str) -> int:
    """Return the peak of memory in bytes: of this process's tensors on a GPU; on a CPU, of the whole process."""
    if device != "cpu":
        import torch

        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):  # preferred on Linux, as getrusage counts the parent's memory too
        if peak := re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii")):
            return int(peak[1]) * 1024
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
