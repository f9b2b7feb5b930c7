"""Case: a frozen point at which implementations are measured."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Annotated, Final

from linbench.core.bounds import CLOSED, Choice, Count, Name, Natural
from linbench.core.errors import UsageError

Scalar = bool | int | float | str

DTYPES: Final = ("float64", "float32", "float16", "bfloat16")
ITEM_BYTES: Final = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
MODES: Final = ("fwd", "fwd_bwd", "prefill", "decode")
DEVICES: Final = ("cpu", "cuda")
AXES: Final = ("B", "T", "H", "K", "V")


@dataclass(frozen=True)
class Case:
    """A point in the space of shapes, types and modes; it names no implementation.

    Attributes:
        B: Batch size.
        T: Sequence length in tokens; in decode, the number of tokens before the decoded one.
        H: Heads.
        K: Dimension of queries and keys per head.
        V: Dimension of values per head.
        dtype: Element type of the inputs, one of `DTYPES`.
        mode: fwd, fwd_bwd (forward and gradients of every input), prefill (forward that also returns
            the state) or decode (one token, given the state).
        device: cpu or cuda.
        options: Options of the operator that differ from its defaults, as in {"feature_map": "relu"}.
        seed: Seed of the inputs.

    Raises:
        UsageError: An axis is below 1.
    """

    __pydantic_config__ = CLOSED

    B: Count
    T: Count
    H: Count
    K: Count
    V: Count
    dtype: Annotated[str, Choice(DTYPES)] = "float32"
    mode: Annotated[str, Choice(MODES)] = "fwd"
    device: Annotated[str, Choice(DEVICES)] = "cpu"
    options: Mapping[Name, Scalar] = field(default_factory=dict)
    seed: Natural = 0

    def __post_init__(self) -> None:
        """Reject an empty axis."""
        for axis in AXES:
            if (size := getattr(self, axis)) < 1:
                raise UsageError(f"{axis} = {size} is not a positive count; write one like 512")

    @cached_property
    def id(self) -> str:
        """Twelve hex digits that are the same for an equal case on every machine and in every process."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def item_bytes(self) -> int:
        """Bytes of one element of the inputs."""
        return ITEM_BYTES[self.dtype]

    @property
    def tokens(self) -> int:
        """Tokens that one call processes: per sequence, one in decode, else T."""
        return self.B * (1 if self.mode == "decode" else self.T)

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        options = "".join(f" {name}={value}" for name, value in sorted(self.options.items()))
        return (
            f"B{self.B} T{self.T} H{self.H} K{self.K} V{self.V} "
            f"{self.dtype} {self.mode} {self.device}{options}"
        )

    def with_options(self, options: Mapping[str, Scalar]) -> "Case":
        """Return this case with its options replaced."""
        return replace(self, options=dict(options))

    def to_json(self) -> dict[str, object]:
        """Return the case as plain JSON data."""
        return asdict(self)
