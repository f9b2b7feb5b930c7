"""What launchers share: how a tensor is handed to a kernel, and the settings of a launch."""

from typing import Any

import torch
from torch import Tensor

from linbench_kernels.triton.linear_attention_plan import Tiles


def as_rows(x: Tensor) -> Tensor:
    """Returns x with contiguous rows, and steps near enough for offsets within a tile to fit in 32 bits."""
    return x if x.stride(3) == 1 and x.stride(1) < 2**24 else x.contiguous()


def strides_of(x: Tensor) -> tuple[int, int, int]:
    """Returns the strides of batch, time and head, in elements."""
    return x.stride(0), x.stride(1), x.stride(2)


def launch_settings(x: Tensor, tile: Tiles) -> dict[str, Any]:
    """Returns the settings of a launch that are not sizes."""
    precision = "ieee" if x.dtype == torch.float32 else "tf32"  # the second is ignored by the half dtypes
    return {"PRECISION": precision, "num_warps": tile.num_warps, "num_stages": tile.num_stages}
