"""Environment: the machine, its libraries and the code at the start of a run."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from linbench.core.bounds import Bytes, Natural
from linbench.core.ceiling import Ceilings
from linbench.core.gpu import Gpu, gpus
from linbench.core.provenance import Code, harness_code, measured_code

LIBRARIES: Final = (
    "linbench",
    "torch",
    "triton",
    "numpy",
    "cuda-core",
    "nvidia-cuda-nvrtc",
    "flash-linear-attention",
    "flash-attn",
    "mamba-ssm",
)
NO_CEILINGS: Final = Ceilings()
VARIABLES: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF")


@dataclass(frozen=True)
class Host:
    """The processor, memory and operating system of a machine.

    Attributes:
        cpu: Name of the processor from /proc/cpuinfo.
        cores: Processors that this process may use.
        memory_bytes: Total memory.
        system: Name, release and architecture of the operating system.
        python: Version of Python.
        executable: Path of Python.
        load_average: One-minute load average at the start of the run.
    """

    cpu: str
    cores: Natural
    memory_bytes: Bytes
    system: str
    python: str
    executable: str = ""
    load_average: float = 0.0


@dataclass(frozen=True)
class Machine:
    """What must be the same for times to be comparable and for ceilings to be valid.

    Attributes:
        cpu: Name of the processor.
        cores: Processors that may be used.
        gpus: Name and driver of each GPU.
    """

    cpu: str
    cores: int
    gpus: tuple[str, ...]

    def on(self, device: str) -> str:
        """Return the description of the hardware that determines times on a kind of device."""
        if device == "cuda":
            return self.gpus[0] if self.gpus else "unknown GPU"
        return f"{self.cpu}, {self.cores} cores"

    def difference(self, now: Machine) -> str | None:
        """Return a description of how another machine differs from this one, or None if they are alike."""
        for name, before, after in (
            ("cpu", self.on("cpu"), now.on("cpu")),
            ("gpus", ", ".join(self.gpus) or "none", ", ".join(now.gpus) or "none"),
        ):
            if before != after:
                return f"{name} {before}, and this is {after}"
        return None


@dataclass(frozen=True)
class Environment:
    """The machine, its libraries and the code.

    Attributes:
        host: The processor and the system.
        gpus: Every GPU that the driver reports.
        libraries: Versions of the relevant libraries that are installed, by name.
        harness: The code of linbench itself.
        code: The code of the implementations.
        variables: Environment variables that times depend on.
        ceilings: The measured ceilings of the machine; without entries if they were not measured.
    """

    host: Host
    gpus: tuple[Gpu, ...]
    libraries: Mapping[str, str]
    harness: Code
    code: tuple[Code, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    ceilings: Ceilings = NO_CEILINGS

    @property
    def machine(self) -> Machine:
        """What must be the same for times to be comparable."""
        return Machine(
            self.host.cpu, self.host.cores, tuple(f"{gpu.name}, driver {gpu.driver}" for gpu in self.gpus)
        )

    @property
    def measured_code(self) -> tuple[Code, ...]:
        """The code of the measured implementations; that of the harness where it is not known."""
        return self.code or (self.harness,)

    def code_of(self, implementation: str) -> Code | None:
        """Return the code that contains an implementation, or None where that is not known."""
        return next((code for code in self.code if implementation in code.implementations), None)

    def difference(self, now: Environment) -> str | None:
        """Return a description of how another environment differs in ways that change times, or None."""
        of_machine = self.machine.difference(now.machine)
        if of_machine is not None:
            return of_machine
        before, after = self._versions(), now._versions()
        for name, version_before in before.items():
            if after.get(name) != version_before:
                return f"{name} {version_before}, and this is {after.get(name)}"
        return next((f"no {name}, and this is {after[name]}" for name in after.keys() - before.keys()), None)

    def _versions(self) -> dict[str, str]:
        """Return the version of each library and the commit of all code, by name."""
        commits = {
            f"commit of {code.name}": code.commit for code in (self.harness, *self.code) if code.commit
        }
        return {**self.libraries, **commits}


def capture(origins: Mapping[str, str], ceilings: Ceilings = NO_CEILINGS) -> Environment:
    """Return the current environment, without importing torch or initialising CUDA.

    Args:
        origins: The file of each implementation to measure, by its full name.
        ceilings: The ceilings of this machine, if they are known.
    """
    return Environment(
        host=host(),
        gpus=tuple(gpus()),
        libraries=libraries(),
        harness=harness_code(),
        code=measured_code(origins),
        variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
        ceilings=ceilings,
    )


def this_machine() -> Machine:
    """Return what must be the same as on this machine for times to be comparable."""
    gpu_names = tuple(f"{gpu.name}, driver {gpu.driver}" for gpu in gpus())
    return Machine(cpu_name(), len(os.sched_getaffinity(0)), gpu_names)


def host() -> Host:
    """Return the processor, memory, operating system and load of this machine."""
    import psutil

    return Host(
        cpu=cpu_name(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        executable=sys.executable,
        load_average=round(os.getloadavg()[0], 2),
    )


def cpu_name() -> str:
    """Return the processor's name from /proc/cpuinfo."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def libraries() -> dict[str, str]:
    """Return the versions of the relevant libraries that are installed."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
