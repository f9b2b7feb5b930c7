from synthetic import row, sweep, table

from linbench.analysis import Capacity, capacities, panels
from linbench.core.measurement import Cause, Status

PREDICTED = "predicted to need 17.2 GiB; 8.0 GiB may be used"


def capacities_of(*rows):
    return {capacity.implementation: capacity for capacity in capacities(panels(table(rows))[0])}


def test_the_capacity_is_the_largest_length_below_the_first_out_of_memory():
    rows = [*sweep("a/x", lambda _: 1, (1, 2, 4)), row("a/x", T=8, status=Status.OOM, reason="full")]
    assert capacities_of(*rows) == {"a/x": Capacity("a/x", 4, 8, "full")}


def test_predicted_out_of_memory_counts_and_other_failures_do_not():
    rows = [
        *sweep("a/x", lambda _: 1, (1, 2)),
        row("a/x", T=4, status=Status.TIMEOUT),
        row("a/x", T=8, status=Status.SKIPPED, cause=Cause.EARLIER_TIMEOUT),
        *sweep("b/y", lambda _: 1, (1, 2, 4)),
        row("b/y", T=8, status=Status.SKIPPED, reason=PREDICTED, cause=Cause.PREDICTED_MEMORY),
    ]
    assert capacities_of(*rows) == {
        "a/x": Capacity("a/x", 2, None, ""),
        "b/y": Capacity("b/y", 4, 8, PREDICTED),
    }


def test_a_fitting_length_above_one_out_of_memory_is_ignored():
    rows = [row("a/x", T=1), row("a/x", T=2, status=Status.OOM, reason="full"), row("a/x", T=4)]
    assert capacities_of(*rows) == {"a/x": Capacity("a/x", 1, 2, "full")}


def test_no_fitting_length_has_no_capacity_and_unsupported_rows_are_left_out():
    rows = [row("a/x", T=1, status=Status.OOM, reason="full"), row("b/y", T=1, status=Status.UNSUPPORTED)]
    assert capacities_of(*rows) == {"a/x": Capacity("a/x", None, 1, "full")}
