"""The lock of a data folder: one holder, and patience for one that is about to let go."""

import threading
from pathlib import Path

import pytest

from relay.control.state.lock import AlreadyRunning, acquire


def test_a_second_holder_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    with acquire(tmp_path), pytest.raises(AlreadyRunning, match="already runs a relay") as caught, acquire(tmp_path):
        pass

    assert caught.value.pid is not None


def test_who_is_patient_gets_it_when_the_first_lets_go(tmp_path: Path) -> None:
    has_it, may_go = threading.Event(), threading.Event()

    def first() -> None:
        with acquire(tmp_path):
            has_it.set()
            may_go.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    has_it.wait(10)
    threading.Timer(0.2, may_go.set).start()
    with acquire(tmp_path, 30):
        pass
    thread.join()
