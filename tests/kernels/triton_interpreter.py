"""A patch of Triton's interpreter, to test kernels in bfloat16 without a GPU."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import triton
import triton.language as tl
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

Array = np.ndarray[Any, np.dtype[Any]]
IGNORE_TRITON_WARNINGS = pytest.mark.filterwarnings(  # numpy warns about Triton 3.6
    "ignore:Conversion of an array with ndim > 0:DeprecationWarning"
)


@cache
def patch_bfloat16() -> None:
    """Makes the interpreter compute with bfloat16 numbers instead of their bit patterns.

    numpy has no bfloat16, so the interpreter stores it as uint16. Only its casts from and to float32 handle
    that: a sum, a comparison or a tl.dot of two bfloat16 tiles treats the uint16 as integers, and silently
    returns a wrong result. With the patch, casts, arithmetic and products widen bfloat16 to float32, compute,
    and round to nearest even, as the hardware does. Products of two bfloat16 are exact in float32.

    Tested with Triton 3.6.0 and 3.9.0. Call it before the first kernel.

    Raises:
        RuntimeError: Kernels are compiled, not interpreted, in this process.
    """
    if not triton.knobs.runtime.interpret:
        raise RuntimeError(
            "kernels are compiled, not interpreted: set TRITON_INTERPRET=1, as `make test` does"
        )
    builder = InterpreterBuilder
    cast, binary, unary = builder.cast_impl, builder.binary_op, builder.unary_op
    fma, dot = builder.create_fma, builder.create_dot

    def patched_cast(self: InterpreterBuilder, source: TensorHandle, target: Any) -> TensorHandle:
        if _is_bfloat16(target.scalar):
            narrow = source.data if _is_bfloat16(source.dtype) else _round(source.data)
            return TensorHandle(narrow, tl.bfloat16)
        return cast(self, _widen(source), target)

    def patched_binary(
        self: InterpreterBuilder, left: TensorHandle, right: TensorHandle, op: Callable[..., Array]
    ) -> TensorHandle:
        result = binary(self, _widen(left), _widen(right), op)
        if not _is_bfloat16(left.dtype) or result.data.dtype == np.bool_:
            return result
        return TensorHandle(_round(result.data), tl.bfloat16)

    def patched_unary(self: InterpreterBuilder, x: TensorHandle, op: Callable[..., Array]) -> TensorHandle:
        result = unary(self, _widen(x), op)
        return TensorHandle(_round(result.data), tl.bfloat16) if _is_bfloat16(x.dtype) else result

    def patched_fma(
        self: InterpreterBuilder, x: TensorHandle, y: TensorHandle, z: TensorHandle
    ) -> TensorHandle:
        result = fma(self, _widen(x), _widen(y), _widen(z))
        return TensorHandle(_round(result.data), tl.bfloat16) if _is_bfloat16(z.dtype) else result

    def patched_dot(
        self: InterpreterBuilder, a: TensorHandle, b: TensorHandle, accumulator: TensorHandle, *settings: Any
    ) -> TensorHandle:
        return dot(self, _widen(a), _widen(b), accumulator, *settings)

    builder.cast_impl, builder.binary_op, builder.unary_op = patched_cast, patched_binary, patched_unary
    builder.create_fma, builder.create_dot = patched_fma, patched_dot


def _is_bfloat16(dtype: Any) -> bool:
    return bool(dtype.scalar == tl.bfloat16)


def _widen(x: TensorHandle) -> TensorHandle:
    """Returns a bfloat16 tensor converted exactly to float32; any other tensor unchanged."""
    if not _is_bfloat16(x.dtype):
        return x
    return TensorHandle((x.data.astype(np.uint32) << 16).view(np.float32), tl.float32)


def _round(x: Array) -> Array:
    """Returns the bit patterns of the bfloat16 numbers nearest to x, ties to even."""
    wide = np.ascontiguousarray(x, np.float32)
    bits = wide.view(np.uint32)
    nearest = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(wide), np.uint16(0x7FC0), nearest)
