import torch

from linbench.core.samples import Samples
from linbench.measure.calibration import CalibrationOp


class Listed:
    """A timer that gives the seconds of a list and makes every call."""

    name = "listed"

    def __init__(self, *seconds):
        self.left = list(seconds)

    def bind(self, call):
        def sample(keep=lambda returned: returned):
            return Samples((self.left.pop(0),)), keep(call())

        return sample


def test_the_calibration_op_is_timed_for_two_milliseconds_or_eight_times(monkeypatch):
    monkeypatch.setattr("linbench.measure.sampling.WALL_FACTOR", 10**6)  # these tests run on busy machines
    calibration = CalibrationOp("cpu")
    assert calibration.take(Listed(0.0009, 0.0012, 0.0008)) == Samples((0.0009, 0.0012))
    assert calibration.take(Listed(0.5, 0.5)) == Samples((0.5,))
    assert len(calibration.take(Listed(*[0.0001] * 20))) == 8


def test_the_calibration_op_is_the_same_numbers_every_time():
    state = torch.random.get_rng_state()
    one, other = CalibrationOp("cpu"), CalibrationOp("cpu")
    product = one()
    assert product.shape == (256, 256)
    assert product.dtype == torch.float32
    assert torch.equal(product, other())
    assert product.abs().min() > 0
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_rotated_calibration_op_has_matrices_of_its_own():
    calibration = CalibrationOp("cpu")
    assert calibration.input_bytes == 2 * 4 * 256**2
    places = {made._left.data_ptr() for made in (calibration, *calibration.rotated(2))}
    assert len(places) == 3
    spoiled = calibration()
    calibration.spoil(spoiled)
    assert spoiled.isnan().all()
