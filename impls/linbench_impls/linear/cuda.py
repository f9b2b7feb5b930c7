"""linear/cuda: the CUDA C++ kernels of linbench_kernels for forward and backward, compiled at first use."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from linbench import Case, needs
from linbench.core.compiled import Compiled
from linbench.core.measurement import Kernel
from linbench_impls.linear.options import State, with_options
from linbench_impls.toolkit.register import Form, register

if TYPE_CHECKING:
    from torch import Tensor

base_needs = needs(
    device="cuda", modules=("cuda.core",), dtypes=("float32", "float16", "bfloat16"), capability=(8, 0)
)


def unsupported_reason(case: Case) -> str | None:
    """Return why the kernel does not support a case; the kernel's module checks the shape."""
    reason = base_needs(case)
    if reason is not None:
        return reason
    import torch

    from linbench_kernels.cuda.linear_attention_plan import unsupported_reason as shape_reason

    return shape_reason(case.K, case.V, getattr(torch, case.dtype))


@contextmanager
def launches() -> Iterator[list[Kernel]]:
    """Yield a list that contains the kernels launched in the context, once it has ended."""
    from linbench_kernels.cuda.launch import recorded_launches

    kernels: list[Kernel] = []
    with recorded_launches() as records:
        yield kernels
    kernels += [
        Kernel(
            launch.name,
            launch.configuration,
            launch.hash,
            launch.resources.registers,
            launch.resources.spill_bytes,
            launch.shared_bytes,
        )
        for launch in records
    ]


def compile_kernels(name: str, case: Case, arch: str) -> list[Compiled]:
    """Return the kernels of a case, including those of segments, compiled for an architecture."""
    import torch

    from linbench_kernels.cuda import linear_attention_plan as plan

    del name
    dtype = getattr(torch, case.dtype)
    reason = plan.unsupported_reason(case.K, case.V, dtype)
    if reason is not None:
        raise NotImplementedError(reason)
    feature_map, normalize = case.options.get("feature_map", "elu1"), case.options.get("normalize", True)
    variant = plan.Variant(case.K, case.V, dtype, str(feature_map), bool(normalize))
    programs = [variant.forward, *([variant.backward] if case.mode == "fwd_bwd" else [])]
    kernels = []
    for program in programs:
        cubin = program.compile(arch)
        code_hash = hashlib.sha256(cubin.code).hexdigest()[:16]
        configuration = " ".join(f"{name}={value}" for name, value in program.macros)
        for name, resources in cubin.kernels.items():
            part = name.removeprefix("linear_attention_")
            if (part == "decode") != (case.mode == "decode"):
                continue
            threads, dynamic_bytes = variant.blocks[part]
            shared = dynamic_bytes + resources.static_shared_bytes
            kernel = Kernel(
                name, configuration, code_hash, resources.registers, resources.spill_bytes, shared
            )
            kernels.append(Compiled(kernel, threads, cubin.code))
    return kernels


def flops(case: Case) -> float:
    """Return the operations of the kernels' products on this device, including those of segments."""
    import torch

    from linbench_kernels.cuda.linear_attention_plan import Variant

    if case.mode == "decode":
        return 4 * case.B * case.H * case.K * case.V
    processors = 1
    if torch.cuda.is_available():
        processors = torch.cuda.get_device_properties("cuda").multi_processor_count
    variant = Variant(case.K, case.V, getattr(torch, case.dtype), "elu1", True)
    return variant.flops(case.B, case.T, case.H, processors, gradient=case.mode == "fwd_bwd")


def cuda(q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State | None) -> Tensor:
    """Chunked CUDA C++ kernels for forward and backward, fully fused; tensor cores for half types."""
    from linbench_kernels.cuda.linear_attention import linear_attention

    return linear_attention(q, k, v, feature_map=phi, normalize=normalize, state=state)


def prefill(
    q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State | None
) -> tuple[Tensor, State]:
    """Return the output and the state after the last token."""
    from linbench_kernels.cuda.linear_attention import linear_attention_prefill

    return linear_attention_prefill(q, k, v, feature_map=phi, normalize=normalize, state=state)


def decode(q: Tensor, k: Tensor, v: Tensor, phi: str, normalize: bool, state: State) -> tuple[Tensor, State]:
    """Return the output of one token and the state, updated in place by one kernel."""
    from linbench_kernels.cuda.linear_attention import linear_attention_decode

    return linear_attention_decode(q, k, v, state, feature_map=phi, normalize=normalize)


register(
    "linear",
    "cuda",
    Form(
        with_options(cuda),
        with_options(prefill),
        with_options(decode),
        unsupported_reason=unsupported_reason,
        flops=flops,
        launches=launches,
        compiled=compile_kernels,
    ),
)
