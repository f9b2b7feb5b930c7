"""flash-attn: its versions, and the cases that they support."""

from __future__ import annotations

from dataclasses import dataclass

from linbench import Case, needs


@dataclass(frozen=True)
class Flash:
    """A version of flash-attn.

    Attributes:
        module: Name of its Python module.
        capability: Lowest CUDA compute capability that it supports.
    """

    module: str
    capability: tuple[int, int]

    def unsupported_reason(self, case: Case) -> str | None:
        """Return why a case is not supported: it needs half types and K = V, a multiple of 8 up to 256."""
        restriction = needs(
            device="cuda",
            modules=(self.module,),
            dtypes=("float16", "bfloat16"),
            multiple_of={"K": 8},
            at_most={"K": 256},
            capability=self.capability,
        )
        reason = restriction(case)
        if reason is None and case.K != case.V:
            return f"supports K = V, not K = {case.K} and V = {case.V}"
        return reason


FLASH_2 = Flash("flash_attn", (8, 0))
FLASH_3 = Flash("flash_attn_interface", (9, 0))
