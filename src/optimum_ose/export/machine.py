"""The machine that figures are taken on: what it is, and how much of it other processes use."""

import os
import platform
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from optimum_ose.processes import num_usable_cores, usable_cores

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm")
_LIBRARIES = ("torch", "transformers", "optimum", "onnx", "onnxruntime", "numpy", "tokenizers")


def describe_machine() -> dict[str, Any]:
    """Processor, cores, the instructions that matter for float32 and int8 products, threads and library versions.

    Returns:
        A JSON-able dict without host name or path. What the system does not tell is left out.
    """
    cpu = _read_cpu_info(Path("/proc/cpuinfo"))
    flags = set(cpu.get("flags", cpu.get("Features", "")).split())
    facts = {
        "cpu": cpu.get("model name") or platform.processor() or None,
        "cpu_flags": [flag for flag in _FLAGS if flag in flags] or None,
        "num_cores": os.cpu_count(),
        "num_usable_cores": num_usable_cores(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "libraries": installed_versions(_LIBRARIES),
    }
    return {name: value for name, value in facts.items() if value is not None}


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Version of each of some packages that is installed."""
    installed = {}
    for name in packages:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return installed


def foreign_cpu_seconds() -> float | None:
    """CPU time that all other processes have used on our cores since the system started, up to a constant.

    Resolution: one tick of the kernel, commonly 10 ms. None where /proc/stat does not exist.
    """
    path = Path("/proc/stat")
    if not path.is_file():
        return None
    names = {f"cpu{core}" for core in usable_cores()}
    rows = (line.split() for line in path.read_text().splitlines())
    # user, nice, system, idle, iowait, irq, softirq, steal
    ticks = sum(sum(int(row[column]) for column in (1, 2, 3, 6, 7, 8)) for row in rows if row[:1] and row[0] in names)
    return ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


def _read_cpu_info(path: Path) -> dict[str, str]:
    """The fields of the first processor."""
    if not path.is_file():
        return {}
    first = path.read_text().split("\n\n")[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}
