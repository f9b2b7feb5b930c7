"""The operations that the Triton kernels do, against what is declared: interpreted_work.py, interpreted."""

from interpreted import run_interpreted


def test_the_triton_kernels_do_what_is_declared_in_the_interpreter() -> None:
    run_interpreted("interpreted_work.py")
