"""The numbers of the Triton kernels on packed sequences: interpreted_packed.py, interpreted."""

from interpreted import run_interpreted


def test_triton_kernels_on_packed_sequences_in_the_interpreter() -> None:
    run_interpreted("interpreted_packed.py")
