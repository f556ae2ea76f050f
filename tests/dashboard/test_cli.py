import signal
import socket
import subprocess
import urllib.request

from tests.builders import Installation, free_port, until


def _configured(empty: Installation, port: int) -> Installation:
    with empty.config.open("a") as file:
        file.write(f'[dashboard]\nlisten = "127.0.0.1:{port}"\n')
    return empty


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _log(installation: Installation) -> str:
    return (installation.folder / "process.log").read_text()


def test_the_dashboard_serves_pages_and_ends_at_sigterm(empty: Installation) -> None:
    port = free_port()
    process = _configured(empty, port).start("dashboard")
    try:
        until(lambda: _answers(port, "/healthz"), 60, lambda: _log(empty))
        assert _answers(port, "/")
        assert _answers(port, "/decisions")
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0, _log(empty)
    assert "Traceback" not in _log(empty)


def test_a_port_in_use_names_the_setting_and_who_has_it(empty: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = _configured(empty, port).start("dashboard")
        assert _code(process) == 1

    assert "dashboard.listen" in _log(empty)
    assert "Traceback" not in _log(empty)


def _code(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(20)
    finally:
        process.kill()
