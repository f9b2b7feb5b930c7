"""What the tests of the CUDA C++ kernels of linear attention share: reference, inputs, emulated device."""

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
    importlib.util.find_spec("triton") is None, reason="nvdisasm comes with triton, which is not installed"
)


def name(variant: Variant) -> str:
    dtype = str(variant.dtype).removeprefix("torch.")
    denominator = "normalized" if variant.normalize else "plain"
    return f"{variant.K}x{variant.V}-{dtype}-{variant.feature_map}-{denominator}"


def compiled_for_seconds(variants: Sequence[Variant], kept: Sequence[int]) -> list:
    """Return a parameter for each variant; those that are not kept are marked `whole`."""
    return [
        pytest.param(variant, id=name(variant), marks=() if at in kept else pytest.mark.whole)
        for at, variant in enumerate(variants)
    ]


def reference(
    q: Tensor, k: Tensor, v: Tensor, feature_map: str, normalize: bool, state: State | None = None
) -> tuple[Tensor, State]:
    """The recurrence, token by token in float64."""
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
    """Random q, k, v, and a state such as a sequence before them leaves."""
    random = partial(torch.randn, generator=torch.Generator().manual_seed(T))
    q, k, v = (random(B, T, H, D).to(device, dtype) for D in (K, K, V))
    state = (5 * random(B, H, K, V)).to(device), (10 * random(B, H, K).abs()).to(device)
    return (q, k, v), state


def error(actual: Tensor, expected: Tensor) -> float:
    assert actual.shape == expected.shape
    return float((actual.double() - expected).norm() / expected.norm())


class EmulatedDevice:
    """Stands in for the launches of the launcher module, so that its plan is tested with its kernels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: dict[Program, EmulatedProgram] = {}
        self.schedule = SCHEDULES[0]
        self.launched: list[str] = []
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
        words = [x.data_ptr() if isinstance(x, Tensor) else x or 0 for x in arguments]
        self.flops += self.programs[program].launch(kernel, grid, threads, shared_bytes, words, self.schedule)
        self.launched.append(kernel.removeprefix("linear_attention_"))
