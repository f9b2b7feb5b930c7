"""Grid: a named TOML file of axes that expands to cases."""

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import product
from pathlib import Path
from typing import Annotated, Literal, SupportsIndex

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from linbench.core.case import DEVICES, DTYPES, MODES, Case, Scalar
from linbench.core.errors import UsageError, unknown
from linbench.text.quantity import LARGEST_COUNT, parse_counts


def _as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple | range) else [value]


def _counts(value: object) -> list[int]:
    """Return the counts of 512, of "1k..64k", or of a sequence of such values."""
    if isinstance(value, list | tuple | range):
        return [count for part in value for count in _counts(part)]
    if isinstance(value, bool) or not isinstance(value, str | SupportsIndex):
        raise ValueError(
            f"write a count like 512 or 64k, a range like 1k..64k, or a list of them, not {value!r}"
        )
    return list(parse_counts(str(value)))


def _names_from(allowed: Sequence[str]) -> Callable[[object], list[object]]:
    """Return a validator of "fwd,decode", or of a sequence of names, that accepts only allowed names."""

    def names(value: object) -> list[object]:
        parts: list[object] = [*value.split(",")] if isinstance(value, str) else _as_list(value)
        for part in parts:
            if part not in allowed:
                raise ValueError(f"{part!r} is not one of {', '.join(allowed)}")
        return parts

    return names


Counts = Annotated[list[int], BeforeValidator(_counts), Field(min_length=1)]
Dtypes = Annotated[
    list[Literal["float64", "float32", "float16", "bfloat16"]],
    BeforeValidator(_names_from(DTYPES)),
    Field(min_length=1),
]
Modes = Annotated[
    list[Literal["fwd", "fwd_bwd", "prefill", "decode"]],
    BeforeValidator(_names_from(MODES)),
    Field(min_length=1),
]
Seeds = Annotated[
    list[Annotated[int, Field(ge=0, le=LARGEST_COUNT)]], BeforeValidator(_as_list), Field(min_length=1)
]
Values = Annotated[list[bool | int | float | str], BeforeValidator(_as_list), Field(min_length=1)]


class Axes(BaseModel):
    """The axes that a grid, or a section of it, sets; each is optional.

    `tokens` sets B = tokens / T; `D` sets K and V.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    B: Counts | None = None
    tokens: Counts | None = None
    T: Counts | None = None
    H: Counts | None = None
    D: Counts | None = None
    K: Counts | None = None
    V: Counts | None = None
    dtype: Dtypes | None = None
    mode: Modes | None = None
    seed: Seeds | None = None
    options: dict[str, Values] | None = None

    @model_serializer(mode="wrap")
    def _set_axes(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Return the axes that are set."""
        return {name: value for name, value in dump(self).items() if value is not None}

    @model_validator(mode="after")
    def _check_conflicts(self) -> "Axes":
        """Reject two axes that set the same thing."""
        if self.B and self.tokens:
            raise ValueError("B and tokens both set the batch; leave one out")
        if self.D and (self.K or self.V):
            raise ValueError("D sets K and V; leave D out, or K and V")
        return self

    def contains(self, case: Case) -> bool:
        """Return whether a case has one of the values of each axis that is set."""
        pairs: list[tuple[Sequence[object] | None, object]] = [
            *((self.B, case.B), (self.T, case.T), (self.tokens, case.B * case.T), (self.H, case.H)),
            *((self.K, case.K), (self.V, case.V), (self.D, case.K), (self.D, case.V)),
            *((self.dtype, case.dtype), (self.mode, case.mode), (self.seed, case.seed)),
            *((values, case.options.get(name)) for name, values in (self.options or {}).items()),
        ]
        return all(allowed is None or value in allowed for allowed, value in pairs)

    def override(self, axes: "Axes") -> "Axes":
        """Return these axes, with those that are set in `axes` replaced."""
        new = axes.model_dump(exclude_none=True)
        old = self.model_dump(exclude_none=True)
        for name, conflicting in (
            ("B", "tokens"),
            ("tokens", "B"),
            ("D", "K"),
            ("D", "V"),
            ("K", "D"),
            ("V", "D"),
        ):
            if name in new and conflicting not in new:
                if conflicting == "D" and "D" in old:
                    old["V" if name == "K" else "K"] = old["D"]
                old.pop(conflicting, None)
        if "options" in new:
            new["options"] = old.get("options", {}) | new["options"]
        return Axes.model_validate(old | new)


class GridFile(BaseModel):
    """The contents of a TOML file of a grid."""

    model_config = ConfigDict(extra="forbid", strict=True)

    description: str = ""
    operators: list[str] = []
    axes: Axes
    device: dict[Literal["cpu", "cuda"], Axes] = {}

    def to_grid(self, name: str) -> "Grid":
        """Return the grid of this file, with a name."""
        device_axes = {str(kind): axes for kind, axes in self.device.items()}
        return Grid(name, self.description, self.axes, device_axes, tuple(self.operators))


@dataclass(frozen=True)
class Grid:
    """A named set of axes, with overrides per device.

    Attributes:
        name: Name of the file, without .toml; "axes" where the axes are command-line options.
        description: One line.
        axes: Axes for every device.
        device: Axes that replace them on one kind of device.
        operators: Operators to measure, with all their implementations, where neither operators nor
            implementations are selected; every operator if empty.
    """

    name: str
    description: str = ""
    axes: Axes = field(default_factory=Axes)
    device: Mapping[str, Axes] = field(default_factory=dict)
    operators: tuple[str, ...] = ()

    def on(self, device: str) -> Axes:
        """Return the axes for a kind of device."""
        return self.axes.override(self.device[device]) if device in self.device else self.axes

    def override(self, axes: Axes) -> "Grid":
        """Return the grid with some axes replaced on every device."""
        device_axes = {kind: own_axes.override(axes) for kind, own_axes in self.device.items()}
        return replace(self, axes=self.axes.override(axes), device=device_axes)

    def cases(self, device: str) -> list[Case]:
        """Return the cases for a kind of device; T varies fastest, from short to long.

        Raises:
            UsageError: `tokens` is not a multiple of T.
        """
        axes = self.on(device)
        names = sorted(axes.options or {})
        choices: list[list[Scalar]] = [list((axes.options or {})[name]) for name in names]
        outer = product(
            axes.mode or ["fwd"],
            axes.dtype or ["float32"],
            axes.seed or [0],
            product(*choices),
            axes.H or [8],
            self._dims(axes),
            axes.tokens or [0],
            axes.B or [1],
        )
        cases = []
        for mode, dtype, seed, values, heads, (k, v), tokens, batch in outer:
            for seqlen in sorted(axes.T or [1024]):
                if tokens and tokens % seqlen:
                    raise UsageError(f"grid {self.name}: tokens = {tokens} is not a multiple of T = {seqlen}")
                options = dict(zip(names, values, strict=True))
                size = tokens // seqlen if tokens else batch
                cases.append(Case(size, seqlen, heads, k, v, dtype, mode, device, options, seed))
        return list(dict.fromkeys(cases))

    @staticmethod
    def _dims(axes: Axes) -> list[tuple[int, int]]:
        if axes.D:
            return [(size, size) for size in axes.D]
        if axes.K and axes.V:
            return list(product(axes.K, axes.V))
        return [(size, size) for size in axes.K or axes.V or [64]]


def grid_names() -> list[str]:
    """Return the names of the grids that come with linbench."""
    return sorted(
        entry.name.removesuffix(".toml") for entry in _shipped().iterdir() if entry.name.endswith(".toml")
    )


def load_grid(name: str) -> Grid:
    """Return a grid that comes with linbench, or the grid of a .toml file.

    Raises:
        UsageError: The grid does not exist, or the file is not valid; the message names the wrong key.
    """
    if name.endswith(".toml"):
        path = Path(name)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise UsageError(f"--grid {name}: there is no such file") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--grid {name}: cannot be read: {error}") from None
        return parse_grid(text, path.stem, name)
    if name not in grid_names():
        raise unknown("grid", name, grid_names())
    return parse_grid(_shipped().joinpath(f"{name}.toml").read_text(encoding="utf-8"), name, f"{name}.toml")


def parse_grid(text: str, name: str, source: str) -> Grid:
    """Return the grid of a TOML text.

    Raises:
        UsageError: The text is not TOML, or has a wrong key or value.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source}: not TOML: {error}") from None
    try:
        file = GridFile.model_validate(data)
    except ValidationError as error:
        raise UsageError(f"{source}: {_first_problem(error)}") from None
    return file.to_grid(name)


def typed_axes(**values: object) -> Axes:
    """Return the axes of keyword arguments; a value of None leaves the axis unset.

    Raises:
        UsageError: The axis does not exist, or the value is not allowed; the message names the axis.
    """
    for name in values:
        if name not in Axes.model_fields:
            raise UsageError(f"unknown axis {name!r}; axes: {', '.join(Axes.model_fields)}")
    try:
        return Axes.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        raise UsageError(_first_problem(error)) from None


def _first_problem(error: ValidationError) -> str:
    details = error.errors()[0]
    place = ".".join(str(part) for part in details["loc"])
    if details["type"] == "extra_forbidden":
        section = ".".join(str(part) for part in details["loc"][:-1])
        model = Axes if section == "axes" or section.startswith("device") else GridFile
        return f"{place} is not a key of a grid; allowed: {', '.join(model.model_fields)}"
    if place.startswith("device.") and details["loc"][-1] == "[key]":
        return f"device.{details['loc'][1]} is not a kind of device; allowed: {', '.join(DEVICES)}"
    is_plain = isinstance(details["input"], str | int | float | list)
    is_complete = details["type"] in ("missing", "value_error")  # a value_error has a message of ours
    suffix = f", not {details['input']!r}" if is_plain and not is_complete else ""
    message = f"{details['msg'].removeprefix('Value error, ')}{suffix}"
    return f"{place}: {message}" if place else message


def _shipped() -> Traversable:
    return files("linbench.core").joinpath("grids")
