"""The C++ kernels of linbench_kernels for the CPU: what they take, and what they do."""

from __future__ import annotations

from linbench import Case, needs

base_needs = needs(device="cpu", dtypes=("float32",))


def unsupported_reason(case: Case) -> str | None:
    """Return why the kernels cannot take a case: its device or dtype, or no compiler."""
    reason = base_needs(case)
    if reason is not None:
        return reason
    from linbench_kernels.cpu.compile import unsupported_reason as compiler_why_not

    return compiler_why_not()


def flops(case: Case, final: bool) -> float:
    """Return the operations of the kernels' products, as this CPU's vectors and threads cut them up.

    Args:
        case: Where.
        final: Whether the state after the last token is made too.
    """
    from linbench_kernels.cpu.work import attention_flops, decode_flops

    if case.mode == "decode":
        return decode_flops(case.B, case.H, case.K, case.V)
    gradient = case.mode == "fwd_bwd"
    return attention_flops(case.B, case.T, case.H, case.K, case.V, final=final, gradient=gradient)
