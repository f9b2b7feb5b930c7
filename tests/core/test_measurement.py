from dataclasses import replace

from synthetic import error, row


def test_the_worst_error_is_the_largest_share_of_its_budget():
    one = row("a/x")
    assert replace(one, errors={"o": error(2e-7, 1e-6), "dq": error(3e-7, 1e-3)}).worst_tensor == "o"
    assert replace(one, errors={"o": error(9e-1, 1e-6), "dq": error(nonfinite=1)}).worst_tensor == "dq"
    assert replace(one, errors={"o": error(float("nan"))}).worst_tensor == "o"
    assert replace(one, errors={}).worst_tensor is None
