import os
import signal

import pytest

from functional_ad.training._interruption import Interrupted, end_on_sigterm, watch_signals


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_asks_and_the_second_ends(number, status):
    before = signal.getsignal(number)
    said = []
    with watch_signals(said.append) as stop:
        assert stop.signal is None
        os.kill(os.getpid(), number)
        assert stop.signal == number
        assert said == ["stopping after this interval; once more to stop at once"]
        with pytest.raises(Interrupted) as caught:
            os.kill(os.getpid(), number)

    assert caught.value.status == status
    assert isinstance(caught.value, KeyboardInterrupt)
    assert signal.getsignal(number) is before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with watch_signals(pytest.fail) as stop:
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_sigterm_is_an_interruption_and_then_what_it_was():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(Interrupted, match=r"^interrupted$"), end_on_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
