"""Samples: channels with no entry or one per call, the concatenation of turns, and medians over processes."""

from dataclasses import replace

import pytest

from linbench.core.codec import decode_text, encode_text
from linbench.core.samples import CHANNELS, Samples, median_of_medians

FIRST = Samples((1.0, 2.0), cpu_s=(0.5, 0.25), switches=(0, 3), contended=(0, 1))
SECOND = Samples((4.0,), cpu_s=(2.0,), switches=(1,), contended=(1,))


def test_join_concatenates_turns_and_an_empty_channel_stays_empty():
    samples = Samples.join([FIRST, SECOND])
    assert samples == Samples(
        (1.0, 2.0, 4.0), cpu_s=(0.5, 0.25, 2.0), switches=(0, 3, 1), contended=(0, 1, 1)
    )
    assert len(samples) == 3
    assert Samples.join([]) == Samples()


def test_join_rejects_turns_with_different_channels():
    with pytest.raises(ValueError, match="cpu_s"):
        Samples.join([FIRST, Samples((4.0,))])


@pytest.mark.parametrize("channel", CHANNELS[1:])
def test_a_channel_has_no_entry_or_one_per_call(channel):
    assert len(replace(Samples((1.0, 2.0)), **{channel: (1, 1)})) == 2
    for values in ((1,), (1, 1, 1)):
        with pytest.raises(ValueError, match=f"{channel}.* {len(values)} .*2"):
            replace(Samples((1.0, 2.0)), **{channel: values})
    with pytest.raises(ValueError, match=channel):
        Samples(**{channel: (1,)})


def test_the_contended_share_of_calls():
    assert FIRST.contended_share == 0.5
    assert Samples((1.0,)).contended_share == Samples().contended_share == 0


def test_the_median_of_medians_is_over_the_processes_that_have_the_channel():
    processes = [Samples((1.0, 2.0, 9.0)), Samples((4.0,), enqueue_s=(3.0,)), Samples((5.0, 7.0))]
    assert median_of_medians(processes, "time_s") == 4.0
    assert median_of_medians(processes, "enqueue_s") == 3.0
    assert median_of_medians(processes, "kernels_s") is None
    assert median_of_medians([], "time_s") is None


def test_samples_survive_a_round_trip_through_json_to_the_last_bit():
    samples = Samples((1 / 3, 1e-9), cpu_s=(2 / 3, 0.1), switches=(0, 2**31 - 1))
    assert decode_text(Samples, encode_text(samples)) == samples


@pytest.mark.parametrize(
    "text",
    ['{"time_s": [-1.0]}', '{"time_s": [null]}', '{"time_s": [NaN]}', '{"time_s": ["1"]}', '{"t": []}'],
)
def test_invalid_times_are_rejected(text):
    with pytest.raises(ValueError, match=r"time_s\.0|t:"):
        decode_text(Samples, text)
