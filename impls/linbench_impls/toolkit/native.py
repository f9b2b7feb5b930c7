"""The C++ kernels of linbench_kernels for the CPU: the cases they support, and their operations."""

from __future__ import annotations

from linbench import Case, needs

base_needs = needs(device="cpu", dtypes=("float32",))


def unsupported_reason(case: Case) -> str | None:
    """Return why the kernels do not support a case: its device, its dtype, or a missing compiler."""
    reason = base_needs(case)
    if reason is not None:
        return reason
    from linbench_kernels.cpu.compile import unsupported_reason as compiler_reason

    return compiler_reason()


def flops(case: Case, final: bool) -> float:
    """Return the operations of the kernels' products, with the tiling for this CPU's vectors and threads.

    Args:
        case: The case.
        final: Whether the kernels also compute the state after the last token.
    """
    from linbench_kernels.cpu.work import attention_flops, decode_flops

    if case.mode == "decode":
        return decode_flops(case.B, case.H, case.K, case.V)
    gradient = case.mode == "fwd_bwd"
    return attention_flops(case.B, case.T, case.H, case.K, case.V, final=final, gradient=gradient)
