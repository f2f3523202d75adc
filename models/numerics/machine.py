"""What machine this is, and how much of its memory was used."""

import math
import os
import platform
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


def describe_machine(*, with_gpu: bool) -> dict[str, Any]:
    """Names, versions and sizes, as plain JSON values. with_gpu: whether to look for one, which takes its driver."""
    import torch  # here, so that others can name the processor without it

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
    """The processor's name; its architecture where the system does not tell."""
    names = re.findall(r"^model name\s*: (.+)$", cpuinfo.read_text(), re.MULTILINE) if cpuinfo.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def count_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """How many this process may use: those it is bound to, or fewer where its container is granted less time."""
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted, period = quota.read_text().split() if quota.exists() else ("max", "1")
    return num_cores if granted == "max" else min(num_cores, math.ceil(int(granted) / int(period)))


def forget_peak_memory(device: str) -> None:
    """Begin the peak anew, so that what is used next counts alone. device: cpu or cuda."""
    if device != "cpu":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):  # where the system has no such file, the peak stays that of all before
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def read_peak_memory(device: str) -> int:
    """Bytes, the most so far: on a GPU, of this process's tensors there; else of the process itself in memory."""
    if device != "cpu":
        import torch

        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):  # there getrusage would count what the parent had, too
        if peak := re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii")):
            return int(peak[1]) * 1024
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else largest * 1024
