"""The numbers of the Triton kernels of attention with decay: interpreted_decayed.py, interpreted."""

from interpreted import run_interpreted


def test_triton_attention_with_decay_in_the_interpreter() -> None:
    run_interpreted("interpreted_decayed.py")
