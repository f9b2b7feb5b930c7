import os
import signal

import pytest

from linbench.cli.interrupt import Interrupt


def test_ctrl_c_that_was_dropped_is_raised_again_at_the_next_look():
    before = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        interrupt.look()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.look()
    assert signal.getsignal(signal.SIGINT) is before
