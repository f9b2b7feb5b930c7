"""Environment: the machine, its libraries and the code, as they stood when a run began."""

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
        cpu: Name of the processor, as /proc/cpuinfo has it.
        cores: Processors that this process may use.
        memory_bytes: In all.
        system: Name, release and architecture.
        python: Version.
        executable: Of Python.
        load_average: Of one minute, when the run began.
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
    """What must be the same for times to compare, and for ceilings to hold.

    Attributes:
        cpu: Name of the processor.
        cores: Processors that may be used.
        gpus: Name and driver of each GPU.
    """

    cpu: str
    cores: int
    gpus: tuple[str, ...]

    def on(self, device: str) -> str:
        """Return what times on a kind of device depend on, in words."""
        if device == "cuda":
            return self.gpus[0] if self.gpus else "unknown GPU"
        return f"{self.cpu}, {self.cores} cores"

    def difference(self, other: Machine) -> str | None:
        """Return how this machine differs from another, in words, or None if they are alike."""
        for name, ours, theirs in (
            ("cpu", self.on("cpu"), other.on("cpu")),
            ("gpus", ", ".join(self.gpus) or "none", ", ".join(other.gpus) or "none"),
        ):
            if ours != theirs:
                return f"{name} {ours}, and this is {theirs}"
        return None


@dataclass(frozen=True)
class Environment:
    """The machine, its libraries and the code.

    Attributes:
        host: The processor and the system.
        gpus: Every GPU that the driver has.
        libraries: Versions of those that matter and are installed, by name.
        harness: The code of linbench itself.
        code: The code of the implementations.
        variables: Of the process, those that times depend on.
        ceilings: The most that the machine was seen to do; without entries where that was not measured.
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
        """What must be the same for times to compare."""
        return Machine(
            self.host.cpu, self.host.cores, tuple(f"{gpu.name}, driver {gpu.driver}" for gpu in self.gpus)
        )

    @property
    def measured_code(self) -> tuple[Code, ...]:
        """The code of what was measured; the harness's own where it is not known which that was."""
        return self.code or (self.harness,)

    def code_of(self, implementation: str) -> Code | None:
        """Return the code that an implementation lies in, or None where that is not known."""
        return next((code for code in self.code if implementation in code.implementations), None)

    def difference(self, now: Environment) -> str | None:
        """Return how another environment differs from this one in what times depend on, in words, or None."""
        other = self.machine.difference(now.machine)
        if other is not None:
            return other
        ours, theirs = self._versions(), now._versions()
        for name, known in ours.items():
            if theirs.get(name) != known:
                return f"{name} {known}, and this is {theirs.get(name)}"
        return next((f"no {name}, and this is {theirs[name]}" for name in theirs.keys() - ours.keys()), None)

    def _versions(self) -> dict[str, str]:
        """Return the version of each library and the commit of all code, by name."""
        commits = {
            f"commit of {code.name}": code.commit for code in (self.harness, *self.code) if code.commit
        }
        return {**self.libraries, **commits}


def capture(origins: Mapping[str, str], ceilings: Ceilings = NO_CEILINGS) -> Environment:
    """Return the environment as it stands; neither CUDA nor torch is touched.

    Args:
        origins: The file of each implementation that is to be measured, by its full name.
        ceilings: Of this machine, if they are known.
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
    """Return what must be the same here for times to compare."""
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
    """Return the processor's name as /proc/cpuinfo has it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that matter and are installed."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
