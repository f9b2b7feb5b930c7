import torch

from linbench.core.samples import Samples
from linbench.measure.calibration import CalibrationOp


class ScriptedTimer:
    """A timer that makes every call and returns times from a list."""

    name = "scripted"

    def __init__(self, *times_s):
        self.times_s = list(times_s)

    def bind(self, call):
        def sample(keep=lambda returned: returned):
            return Samples((self.times_s.pop(0),)), keep(call())

        return sample


def test_the_calibration_op_is_timed_for_two_milliseconds_or_eight_times(monkeypatch):
    monkeypatch.setattr("linbench.measure.sampling.WALL_FACTOR", 10**6)  # these tests run on busy machines
    calibration = CalibrationOp("cpu")
    assert calibration.take(ScriptedTimer(0.0009, 0.0012, 0.0008)) == Samples((0.0009, 0.0012))
    assert calibration.take(ScriptedTimer(0.5, 0.5)) == Samples((0.5,))
    assert len(calibration.take(ScriptedTimer(*[0.0001] * 20))) == 8


def test_the_calibration_op_has_constant_matrices():
    state = torch.random.get_rng_state()
    first, second = CalibrationOp("cpu"), CalibrationOp("cpu")
    product = first()
    assert product.shape == (256, 256)
    assert product.dtype == torch.float32
    assert torch.equal(product, second())
    assert product.abs().min() > 0
    assert torch.equal(torch.random.get_rng_state(), state)


def test_each_rotated_calibration_op_has_its_own_matrices():
    calibration = CalibrationOp("cpu")
    assert calibration.input_bytes == 2 * 4 * 256**2
    addresses = {op._left.data_ptr() for op in (calibration, *calibration.rotated(2))}
    assert len(addresses) == 3
    product = calibration()
    calibration.spoil(product)
    assert product.isnan().all()
