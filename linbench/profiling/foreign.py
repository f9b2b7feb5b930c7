"""Foreign: ranges around C functions called through ctypes, which torch's profiler does not record."""

from __future__ import annotations

import ctypes

from torch._C._profiler import _RecordFunctionFast as Range

from linbench.profiling.breakdown import FOREIGN


class RangedFunction(ctypes._CFuncPtr):  # type: ignore[misc, name-defined]
    """A function of a C library; each call is a range named after it."""

    _flags_ = ctypes._FUNCFLAG_CDECL  # type: ignore[attr-defined]

    def __call__(self, *arguments: object, **keywords: object) -> object:
        """Return what the function returns."""
        with Range(f"{FOREIGN}{getattr(self, '__name__', 'function')}"):
            return super().__call__(*arguments, **keywords)


def range_foreign_calls() -> None:
    """Wrap each call of a C function in a range, for libraries that are loaded from now on.

    Only for processes that profile: kernels have no such ranges when they are timed.
    """
    ctypes._CFuncPtr = RangedFunction  # type: ignore[attr-defined]
