"""Common parts of the tests of the CUDA C++ kernels of linear attention: reference, inputs and emulation."""

import importlib.util
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from cuda_emulation import GXX, EmulatedProgram, Schedule
from torch import Tensor

from linbench_kernels.cuda.launch import Program
from linbench_kernels.cuda.linear_attention import State
from linbench_kernels.cuda.linear_attention_plan import FORWARD_SOURCE, Variant

float32, float16, bfloat16 = torch.float32, torch.float16, torch.bfloat16
TOLERANCE = {float32: 1e-5, float16: 4e-3, bfloat16: 2e-2}  # of ||x - reference|| / ||reference||
SHARED_LIMIT = {"sm_80": 163 * 1024, "sm_90": 227 * 1024, "sm_100": 227 * 1024}
FORWARD_KERNELS = ("forward", "segment_states", "scan", "decode")
BACKWARD_KERNELS = (
    *("deltas", "query_gradient", "key_gradient", "value_gradient"),
    *("segment_adjoints", "scan_adjoints"),
)
SCHEDULES = (Schedule(descending=False, late_copies=True), Schedule(descending=True, late_copies=False))
PHI = {"elu1": lambda x: torch.nn.functional.elu(x) + 1, "relu": torch.relu, "identity": lambda x: x}

needs_gxx = pytest.mark.skipif(GXX is None, reason="g++ is not installed")
needs_cuda_core = pytest.mark.skipif(
    importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.core") is None,
    reason="cuda-core is not installed",
)
needs_disassembler = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton, which contains nvdisasm, is not installed"
)


def name(variant: Variant) -> str:
    dtype = str(variant.dtype).removeprefix("torch.")
    denominator = "normalized" if variant.normalize else "plain"
    return f"{variant.K}x{variant.V}-{dtype}-{variant.feature_map}-{denominator}"


def slow_variants(variants: Sequence[Variant], in_every_run: Sequence[int]) -> list:
    """Return one parameter per variant; those whose index is not in `in_every_run` are marked `whole`."""
    return [
        pytest.param(variant, id=name(variant), marks=() if index in in_every_run else pytest.mark.whole)
        for index, variant in enumerate(variants)
    ]


def reference(
    q: Tensor, k: Tensor, v: Tensor, feature_map: str, normalize: bool, state: State | None = None
) -> tuple[Tensor, State]:
    """Returns the results of the recurrence, token by token in float64."""
    q, k, v = PHI[feature_map](q.double()), PHI[feature_map](k.double()), v.double()
    (B, T, H, K), V = q.shape, v.shape[-1]
    S, z = (x.double() for x in state) if state else (q.new_zeros(B, H, K, V), q.new_zeros(B, H, K))
    outputs = []
    for t in range(T):
        S = S + k[:, t, :, :, None] * v[:, t, :, None, :]
        z = z + k[:, t]
        o = torch.einsum("bhk,bhkv->bhv", q[:, t], S)
        outputs.append(o / ((q[:, t] * z).sum(-1, keepdim=True) + 1e-6) if normalize else o)
    return torch.stack(outputs, 1), (S, z)


def inputs(
    B: int, T: int, H: int, K: int, V: int, dtype: torch.dtype, device: str = "cpu"
) -> tuple[tuple[Tensor, Tensor, Tensor], State]:
    """Returns random q, k, v, and a state as a previous sequence would leave it."""
    random = partial(torch.randn, generator=torch.Generator().manual_seed(T))
    q, k, v = (random(B, T, H, D).to(device, dtype) for D in (K, K, V))
    state = (5 * random(B, H, K, V)).to(device), (10 * random(B, H, K).abs()).to(device)
    return (q, k, v), state


def error(actual: Tensor, expected: Tensor) -> float:
    assert actual.shape == expected.shape
    return float((actual.double() - expected).norm() / expected.norm())


class EmulatedDevice:
    """Replaces the launches of the launcher module, so that its plan is tested together with its kernels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: dict[Program, EmulatedProgram] = {}
        self.schedule = SCHEDULES[0]
        self.launches: list[str] = []
        self.flops = 0

    def launch(
        self,
        kernel: str,
        program: Program,
        device: torch.device,
        grid: tuple[int, int],
        threads: int,
        shared_bytes: int,
        *arguments: Tensor | int | None,
    ) -> None:
        assert device.type == "cpu"
        if program not in self.programs:
            names = FORWARD_KERNELS if program.source == FORWARD_SOURCE else BACKWARD_KERNELS
            kernels = [f"linear_attention_{name}" for name in names]
            self.programs[program] = EmulatedProgram(
                program.source, dict(program.macros), kernels, self.folder
            )
        values = [x.data_ptr() if isinstance(x, Tensor) else x or 0 for x in arguments]
        emulated_program = self.programs[program]
        self.flops += emulated_program.launch(kernel, grid, threads, shared_bytes, values, self.schedule)
        self.launches.append(kernel.removeprefix("linear_attention_"))
