import os
import signal

import pytest

from linbench.cli.interrupt import Interrupt


def test_a_dropped_ctrl_c_is_raised_again_at_the_next_check():
    before = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        interrupt.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
    assert signal.getsignal(signal.SIGINT) is before
