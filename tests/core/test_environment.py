"""Differences between machines and environments, and their form in JSON."""

import json
from dataclasses import replace

import pytest
from synthetic import CEILINGS, COMMIT, ENVIRONMENT, PLAN, code

from linbench.core.codec import decode, decode_text, encode, encode_text
from linbench.core.environment import Environment, Machine, capture, this_machine
from linbench.core.gpu import Gpu
from linbench.core.plan import Plan
from linbench.core.provenance import Code

GPU = Gpu("A GPU", "GPU-1", 2**36, "580.1")
FULL = replace(ENVIRONMENT, gpus=(GPU, GPU), ceilings=CEILINGS)
MACHINE = Machine("A", 2, ("A GPU, driver 580.1",))


def test_the_hardware_that_determines_times_depends_on_the_device():
    assert MACHINE.on("cpu") == "A, 2 cores"
    assert MACHINE.on("cuda") == "A GPU, driver 580.1"
    assert Machine("A", 2, ()).on("cuda") == "unknown GPU"


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (MACHINE, None),
        (replace(MACHINE, cpu="B"), "cpu A, 2 cores, and this is B, 2 cores"),
        (replace(MACHINE, cores=4), "cpu A, 2 cores, and this is A, 4 cores"),
        (replace(MACHINE, gpus=()), "gpus A GPU, driver 580.1, and this is none"),
        (
            replace(MACHINE, gpus=("A GPU, driver 1",)),
            "gpus A GPU, driver 580.1, and this is A GPU, driver 1",
        ),
    ],
)
def test_the_difference_between_machines(now, message):
    assert MACHINE.difference(now) == message


def test_the_machine_of_an_environment_has_its_processor_and_every_gpu():
    gpu = "A GPU, driver 580.1"
    assert FULL.machine == Machine("Synthetic CPU @ 2.10 GHz", 2, (gpu, gpu))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"ceilings": CEILINGS, "variables": {}}, None),
        ({"gpus": (replace(GPU, uuid="GPU-2"), GPU)}, None),
        ({"code": (code("other/one"),)}, None),
        ({"code": (code("a/x", dirty=True),)}, None),
        ({"gpus": ()}, "gpus A GPU, driver 580.1, A GPU, driver 580.1, and this is none"),
        ({"libraries": {**FULL.libraries, "torch": "3"}}, "torch 2.13.0, and this is 3"),
        ({"libraries": {**FULL.libraries, "triton": "3"}}, "no triton, and this is 3"),
        ({"harness": code(commit=None), "code": ()}, f"commit of linbench {COMMIT}, and this is None"),
        ({"code": (*FULL.code, Code("mine", None, "f"))}, "no commit of mine, and this is f"),
    ],
)
def test_the_difference_between_environments(change, message):
    assert FULL.difference(replace(FULL, **change)) == message


def test_code_of_returns_the_code_that_contains_an_implementation():
    first, second = Code("mine", None, "f", True, ("a/x", "a/y")), code("b/z")
    environment = replace(FULL, code=(second, first))
    assert environment.code_of("a/y") == first
    assert environment.code_of("b/z") == second
    assert environment.code_of("a/z") is None


@pytest.mark.parametrize("value", [FULL, PLAN, CEILINGS, MACHINE], ids=lambda value: type(value).__name__)
def test_values_survive_a_round_trip_through_json(value):
    plain = json.loads(json.dumps(encode(value)))
    assert decode(type(value), plain) == value
    assert decode_text(type(value), encode_text(value)) == value


@pytest.mark.parametrize(
    ("kind", "value", "change", "message"),
    [
        (Environment, FULL, lambda data: data["host"].pop("cpu"), "host.cpu: Field required"),
        (Environment, FULL, lambda data: data["gpus"][1].update(memory_bytes="x"), "gpus.1.memory_bytes: "),
        (Environment, FULL, lambda data: data["ceilings"].update(entries=3), "ceilings.entries: "),
        (Plan, PLAN, lambda data: data["settings"].update(processes=None), "settings.processes: "),
        (Plan, PLAN, lambda data: data["grid"]["axes"].update(T=[-1]), "grid.axes.T: "),
    ],
)
def test_invalid_json_is_rejected_with_the_name_of_the_field(kind, value, change, message):
    data = json.loads(json.dumps(encode(value)))
    change(data)
    for decode_data in (lambda: decode(kind, data), lambda: decode_text(kind, json.dumps(data))):
        with pytest.raises(ValueError, match="^" + message) as caught:
            decode_data()
        assert "\n" not in str(caught.value)


def test_capture_describes_this_machine():
    environment = capture({}, CEILINGS)
    assert environment.machine == this_machine()
    assert (environment.code, environment.ceilings) == ((), CEILINGS)
    assert environment.harness.name == "linbench"
    assert environment.harness.version == environment.libraries["linbench"]
    assert environment.difference(capture({})) is None
    assert decode(Environment, json.loads(json.dumps(encode(environment)))) == environment
