"""Description of this machine, and peak memory of this process."""

import math
import os
import platform
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


def describe_machine(*, with_gpu: bool) -> dict[str, Any]:
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


def count_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Count the cores that this process may use: those it is bound to, or fewer if its container has less CPU time."""
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted, period = quota.read_text().split() if quota.exists() else ("max", "1")
    return num_cores if granted == "max" else min(num_cores, math.ceil(int(granted) / int(period)))


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
