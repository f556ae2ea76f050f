"""Each service tells systemd that it is ready when it answers, and not before: its unit waits for that word."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.running.ports import is_open
from relay.settings import Settings
from tests.builders import Installation, free_port
from tests.sink import Sink

_LISTEN: dict[str, Callable[[Settings], str]] = {
    "relay": lambda settings: settings.control.listen,
    "analytics": lambda settings: settings.analytics.listen,
    "dashboard": lambda settings: settings.dashboard.listen,
}


@pytest.mark.parametrize("service", _LISTEN)
def test_a_service_that_says_ready_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    node = Installation(tmp_path)
    with Sink() as sink, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        node.write(sink.port, model="none")
        with node.config.open("a") as file:
            file.write(f'[dashboard]\nlisten = "127.0.0.1:{free_port()}"\n')
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        process = node.start(service)
        try:
            said = manager.recv(100)
            does_answer = is_open(_LISTEN[service](node.settings))
        finally:
            process.terminate()
            process.wait(30)

    assert (said, does_answer) == (b"READY=1", True)
