"""Messages: each is decoded as it was encoded, and invalid messages are rejected."""

import math
import random
from dataclasses import replace

import pytest
from fake_worker import CHECK_RESULT, ERROR, MEMORY, FakeWorker, expected_values

from linbench.core.case import Case
from linbench.core.ceiling import Ceiling
from linbench.core.measurement import Cause, Kernel, Status, Tolerance
from linbench.core.profile import Breakdown, Kind, Line
from linbench.core.samples import Samples
from linbench.core.tensor import ExpectedSample, Slice
from linbench.execution.client import RequestFailure
from linbench.execution.messages import (
    MESSAGE_VERSION,
    TYPES,
    CeilingsResult,
    Check,
    CheckOnce,
    CheckResult,
    CheckSupport,
    CheckTurn,
    Done,
    ExpectedResult,
    ExpectedValues,
    Failure,
    FullCheck,
    Hello,
    MeasureCeilings,
    MeasureMemory,
    MemoryResult,
    PrepareCase,
    ProfileCall,
    ProfileResult,
    ReleaseCases,
    Request,
    TakeTurn,
    TimeCalibration,
    TimingResult,
    answer_type,
    from_line,
    to_line,
)

CASE = Case(
    1, 64, 2, 16, 16, options={"feature_map": "relu", "normalize": True, "scale": 0.1, "n": 2}, seed=3
)
NAME = "linear/chunk"
EXPECTED_VALUES = ExpectedValues(
    sample={
        "o": ExpectedSample(
            (Slice(None, None, None), (0, 5, 63), 1, Slice(0, 8, 2)), 0, (1 / 3, -1e-300), 0.5
        ),
        "S": ExpectedSample(("...",), 7, (), 0.0),
    },
    tolerances={"o": Tolerance(1e-6, (1e-5, 1e-4), 1e-7), "S": Tolerance(1e-5, (1e-4,), 0.0)},
    approximation={"o": 0.1},
)
LINE = Line("fwd", "aten::mm", Kind.OPERATOR, 1.5, 2e-3, 1e-3, 1e9, None, {"sm": 0.5})
REQUESTS = [
    (CheckSupport(NAME, CASE), Done),
    (PrepareCase("linear", CASE, None), ExpectedResult),
    (PrepareCase("linear", CASE, EXPECTED_VALUES), ExpectedResult),
    (CheckOnce(NAME), CheckResult),
    (Check(NAME, "cpu", 60.0), CheckResult),
    (FullCheck(NAME, "cpu", 60.0), CheckResult),
    (MeasureMemory(NAME), MemoryResult),
    (TakeTurn(NAME, "cpu", 0.1, 7), TimingResult),
    (CheckTurn(NAME), Done),
    (TimeCalibration("cpu", "cpu"), TimingResult),
    (ReleaseCases(), Done),
    (ProfileCall(NAME, CASE, "torch", "folder"), ProfileResult),
    (MeasureCeilings("cpu"), CeilingsResult),
]
ANSWERS = [
    Hello(MESSAGE_VERSION, "3.13.1", "2.13.0", "13.0", 4, True, (NAME,), {"mine": "ImportError: no"}),
    Failure(Status.WRONG, "o is off", errors={"o": replace(ERROR, by_position=(1e-7, None))}),
    Failure(Status.UNSUPPORTED, "first\nsecond\0", Cause.NO_DEVICE, must_end=True),
    Done(),
    ExpectedResult(None),
    ExpectedResult(EXPECTED_VALUES),
    CHECK_RESULT,
    replace(CHECK_RESULT, deterministic=False, kernels=(Kernel("scan", "", "ff", 1, 2, 3),), memory=MEMORY),
    MemoryResult(MEMORY),
    TimingResult(Samples((1 / 3, 1e-9), (0.5, 0.25), (0, 7), (1, 0), (0.1, 0.2), (1e-6, 2e-6))),
    ProfileResult(Breakdown((LINE,), 3, 1.0, 0.5, 0.25, 10.0, 1, {"cpu": 1.0}), {"inputs": 2**40}),
    ProfileResult(),
    CeilingsResult((Ceiling("dispatch", "cpu", 1, "s", 1e-6, 2e-6, 3e-6, "torch.empty", None),)),
]


def test_every_message_type_is_tested_here():
    types = {type(message) for message in (*ANSWERS, *(request for request, _ in REQUESTS))}
    assert types == set(TYPES.values())


@pytest.mark.parametrize(
    "message", [*ANSWERS, *(request for request, _ in REQUESTS)], ids=lambda message: type(message).__name__
)
def test_a_message_is_encoded_as_one_line_and_decoded_from_it(message):
    line = to_line(message)
    assert line.startswith(type(message).__name__.encode() + b" {")
    assert b"\n" not in line
    assert from_line(line) == message


@pytest.mark.parametrize(("request_", "answer"), REQUESTS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_type_of_a_request_determines_the_type_of_its_answer(request_, answer):
    assert isinstance(request_, Request)
    assert answer_type(request_) is answer


def test_text_that_utf8_cannot_encode_is_escaped():
    line = to_line(Failure(Status.ERROR, "bad \udcff, \ud83d and \U0001f600\0"))
    assert from_line(line) == Failure(Status.ERROR, "bad \\udcff, \\ud83d and \U0001f600\0")


def test_numbers_are_decoded_exactly():
    source = random.Random(0)
    values = tuple(source.uniform(-1, 1) * 10 ** source.uniform(-300, 300) for _ in range(2000))
    decoded = from_line(to_line(ExpectedResult(expected_values(values)))).expected_values
    assert decoded.sample["o"].values == values


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "b''"),
        (b"not a message", "b'not a message'"),
        (b'{"status": "ok"}', "status"),
        (b"Case {}", "b'Case {}'"),
        (b"TakeTurns {}", "b'TakeTurns {}'"),
        (b"\xff\xfe {}", "xff"),
        (b"Done", "EOF"),
        (b"Done []", "object|dictionary|instance"),
        (b"Hello {}", "^message_version: Field required"),
        (b'Hello {"message_version": "2"}', "^message_version: "),
        (b'Hello {"message_version": 2, "cuda_available": 1}', "^cuda_available: "),
        (b'TimingResult {"samples": {"time_s": [1.0, NaN]}}', r"^samples\.time_s\.1: "),
        (b'TimingResult {"samples": {"time_s": [Infinity]}}', r"^samples\.time_s\.0: "),
        (b'TimingResult {"samples": {"time_s": [null]}}', r"^samples\.time_s\.0: "),
        (b'TimingResult {"samples": {"time_s": [-1.0]}}', r"^samples\.time_s\.0: "),
        (b'TimingResult {"samples": {"time_s": [1.0], "cpu_s": [1.0, 1.0]}}', "^samples: cpu_s has 2"),
        (b'TimingResult {"samples": {"seconds": []}}', r"^samples\.seconds: "),
        (b'Failure {"status": "fine", "reason": "x"}', "^status: "),
        (b'Failure {"status": "oom"}', "^reason: Field required"),
        (b'MemoryResult {"memory": {"peak_bytes": 1.5, "extra_bytes": 0, "meter": ""}}', "memory.peak"),
        (b'MemoryResult {"memory": null}', "^memory: "),
    ],
)  # fmt: skip
def test_invalid_messages_are_rejected_with_their_error(line, message):
    with pytest.raises(ValueError, match=message):
        from_line(line)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_rejected(value):
    for message in (
        TimingResult(Samples((value,))),
        ExpectedResult(expected_values((value,))),
        replace(CHECK_RESULT, first_call_s=value),
    ):
        with pytest.raises(ValueError, match=r": Input should be a valid number"):
            from_line(to_line(message))


def test_a_fake_worker_returns_only_answers_of_the_expected_type():
    with pytest.raises(AssertionError, match="Done"):
        FakeWorker(lambda _: Done()).ask(MeasureMemory(NAME), 1.0)
    with pytest.raises(RequestFailure, match="too much") as error:
        FakeWorker(lambda _: Failure(Status.OOM, "too  much")).ask(MeasureMemory(NAME), 1.0)
    assert (error.value.status, error.value.must_end) == (Status.OOM, False)
