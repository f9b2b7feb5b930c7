"""The numbers of the Triton kernels of linear attention: interpreted_linear.py, interpreted."""

from interpreted import run_interpreted


def test_triton_linear_attention_in_the_interpreter() -> None:
    run_interpreted("interpreted_linear.py")
