"""Five answers become a settings file that loads; units are what systemd itself calls sound."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from relay import log
from relay import settings as settings_module
from relay.cli import run
from relay.front.entrances import SOCKET_NAMES, socket_addresses
from relay.installing.answers import Answers, BadAnswer, chosen, defaults
from relay.installing.units import Place, files
from relay.running.ready import tell_ready
from relay.settings import Settings, Smtp, load
from relay.settings.rendered import render


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAILWEIR_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def test_answers_as_options_are_switched_on_and_all_else_is_the_default(tmp_path: Path) -> None:
    told = ["--hostname", "relay.example.org", "--dir", str(tmp_path / "d"), "--leaves", "smtp.example.org:587"]

    assert run(["init", "m.toml", *told, "--senders", "public", "--desk", "abuse@example.org"]) == 0

    settings, plain = load(tmp_path / "m.toml"), Settings()
    assert (settings.node.hostname, settings.node.abuse_contact) == ("relay.example.org", "abuse@example.org")
    assert (settings.delivery.mode, settings.delivery.smarthost) == ("smarthost", "smtp.example.org:587")
    assert settings.smtp.listen == ["0.0.0.0:25", "[::]:25"]
    assert tmp_path / "d" == settings.dir
    kept = {"node", "delivery", "smtp", "dir"}
    assert settings.model_dump(exclude=kept) == plain.model_dump(exclude=kept)


def test_without_answers_and_terminal_the_file_is_that_of_before(tmp_path: Path) -> None:
    assert run(["init"]) == 0

    assert (tmp_path / "mailweir.toml").read_text() == render(tmp_path / "mailweir-data")


def test_somebody_at_a_terminal_is_asked_five_questions_and_enter_takes_what_is_proposed(tmp_path: Path) -> None:
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-W", "ignore", "-m", "relay.cli", "init", "asked.toml"])
    for answer in (b"relay.example.net\n", b"\n", b"direct\n", b"\n", b"desk@example.net\n"):
        os.write(terminal, answer)
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:  # the end of a terminal
        pass
    os.close(terminal)

    assert os.waitpid(pid, 0)[1] == 0
    assert [f"{number}/5".encode() in shown for number in range(1, 6)] == [True] * 5
    settings = load(tmp_path / "asked.toml")
    assert (settings.node.hostname, settings.node.abuse_contact) == ("relay.example.net", "desk@example.net")
    assert tmp_path / "mailweir-data" == settings.dir
    assert Settings().smtp == settings.smtp


@pytest.mark.parametrize(
    "wrong",
    [
        {"hostname": "a b"},
        {"leaves": "smtp.example.org:99999"},
        {"leaves": "two words"},
        {"senders": "everybody"},
        {"desk": "abuse"},
    ],
)
def test_an_answer_that_cannot_be_meant_is_named_and_nothing_is_written(
    tmp_path: Path, wrong: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    ((name, value),) = wrong.items()

    with pytest.raises(BadAnswer, match=name):
        chosen(Answers(**{"hostname": "r.example", "dir": "/x", **wrong}))
    assert run(["init", f"--{name}", value]) == 1
    assert value in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_a_dry_run_shows_the_file_and_settings_of_debian_get_its_data_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", "--dry-run", "--hostname", "r.example"]) == 0

    assert 'hostname = "r.example"' in capsys.readouterr().out.splitlines()
    assert [*tmp_path.iterdir()] == []
    assert defaults(Path("/etc/mailweir/mailweir.toml"), "r.example").dir == "/var/lib/mailweir"


@pytest.mark.parametrize("sockets", [True, False], ids=["sockets", "capability"])
def test_systemd_finds_nothing_wrong_with_the_units_and_little_exposed(tmp_path: Path, sockets: bool) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    program = tmp_path / "mailweir"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    asked = ["--out", str(tmp_path / "out"), "--program", str(program), "--sockets" if sockets else "--no-sockets"]
    assert run(["systemd", *asked]) == 0
    units = sorted((tmp_path / "out" / "systemd" / "system").iterdir())

    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, timeout=60
    )
    services = [unit for unit in units if unit.suffix == ".service"]
    # 2.0: what is left is the network, which a relay is for
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", *services],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (verified.returncode, verified.stderr) == (0, "")
    assert exposed.returncode == 0, exposed.stdout
    assert len(services) == 4
    assert (4 if sockets else 0) == len([unit for unit in units if unit.suffix == ".socket"])


def test_the_units_name_their_place_and_let_the_data_folder_be_written() -> None:
    place = Place(program=Path("/p/mailweir"), config=Path("/c/m.toml"), data=Path("/d"), user="relay")
    found = files(place)

    for name in ("relay", "analytics", "dashboard"):
        text = found[f"systemd/system/mailweir-{name}.service"]
        assert f"ExecStart=/p/mailweir {name}\n" in text
        assert "MAILWEIR_CONFIG=/c/m.toml\n" in text
        assert "User=relay\n" in text
        assert "ReadWritePaths=/d\n" in text
    assert "    su relay relay\n" in found["logrotate.d/mailweir"]
    assert "copytruncate" in found["logrotate.d/mailweir"]
    assert "z /c/m.toml 0640 root relay\n" in found["tmpfiles.d/mailweir.conf"]
    assert "d /c " not in found["tmpfiles.d/mailweir.conf"]  # a folder that is not ours keeps its mode
    assert "d /etc/mailweir 0750 root mailweir\n" in files(Place())["tmpfiles.d/mailweir.conf"]


def test_sockets_are_those_of_the_settings_and_the_target_brings_all_with_it() -> None:
    every = Smtp(listen=["0.0.0.0:25", "[::]:25"], tls_listen=[], clear_auth_listen=["10.0.0.1:2588"])
    found = files(Place(sockets=socket_addresses(every)))
    sockets = {Path(name).name: text for name, text in found.items() if name.endswith(".socket")}
    also = found["systemd/system/mailweir-relay.service"].partition("\nAlso=")[2].split()

    assert set(socket_addresses(Smtp(clear_auth_listen=["10.0.0.1:2588"]))) == set(SOCKET_NAMES)
    assert (
        sorted(sockets)
        == sorted(also)
        == [f"mailweir-{name}.socket" for name in ("clear", "inbox", "smtp", "submission")]
    )
    assert "ListenStream=0.0.0.0:25\nListenStream=[::]:25\n" in sockets["mailweir-smtp.socket"]
    assert "ListenStream=127.0.0.1:2587\n" in sockets["mailweir-submission.socket"]
    assert "FileDescriptorName=clear\n" in sockets["mailweir-clear.socket"]
    wanted = found["systemd/system/mailweir.target"]
    for line in ("Wants=", "Also="):
        named = wanted.partition(line)[2].partition("\n")[0].split()
        assert [f"mailweir-{name}.service" for name in ("relay", "analytics", "dashboard")] == named[:3]


def test_units_go_by_the_settings_file_and_everybody_may_read_them(tmp_path: Path) -> None:
    assert run(["init", "m.toml", "--dir", str(tmp_path / "mail"), "--senders", "public"]) == 0
    old = os.umask(0o077)
    try:
        assert run(["systemd", "--out", "etc", "--config-file", "m.toml"]) == 0
    finally:
        os.umask(old)

    units = tmp_path / "etc" / "systemd" / "system"
    assert "ListenStream=[::]:465\n" in (units / "mailweir-smtps.socket").read_text()
    assert f"ReadWritePaths={tmp_path / 'mail'}\n" in (units / "mailweir-relay.service").read_text()
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "etc").rglob("*") if path.is_dir()} == {0o755}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "etc").rglob("*") if path.is_file()} == {0o644}


def test_a_name_where_systemd_wants_a_number_is_named_and_no_unit_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.toml").write_text('[smtp]\nsubmission = ["localhost:587"]\n')
    asked = ["systemd", "--out", "etc", "--config-file", "m.toml"]

    assert run(asked) == 1
    assert "smtp.submission: 'localhost:587'" in capsys.readouterr().err
    assert not (tmp_path / "etc").exists()
    assert run([*asked, "--no-sockets"]) == 0


def test_who_names_no_settings_gets_those_of_the_system_where_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "etc" / "mailweir.toml"
    monkeypatch.setattr(settings_module, "SYSTEM_FILE", system)
    assert load().node.name == Settings().node.name
    system.parent.mkdir()
    system.write_text('[node]\nname = "ofetc"\n')
    assert load().node.name == "ofetc"
    (tmp_path / "mailweir.toml").write_text('[node]\nname = "nearer"\n')
    assert load().node.name == "nearer"


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_is_told_once_who_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        name = str(tmp_path / "notify")
        manager.bind(name if kind == "path" else "\0" + name)
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", name if kind == "path" else "@" + name)

        tell_ready()
        tell_ready()

        assert manager.recv(100) == b"READY=1"
        with pytest.raises(BlockingIOError):
            manager.recv(100)


def test_who_cannot_tell_systemd_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))

    tell_ready()

    assert "could not be told" in caplog.text


def test_a_log_that_has_grown_is_kept_beside_and_its_writer_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MAX_BYTES", 10)
    path = tmp_path / "relay.log"
    with path.open("ab", buffering=0) as writer:
        writer.write(b"short\n")
        log.turn(path)
        assert path.read_bytes() == b"short\n"
        writer.write(b"and longer\n")
        log.turn(path)
        writer.write(b"next\n")

    assert (path.read_bytes(), (tmp_path / "relay.log.1").read_bytes()) == (b"next\n", b"short\nand longer\n")
    log.turn(tmp_path / "none.log")


def test_the_container_file_takes_all_that_the_package_is_made_of() -> None:
    import tomllib

    root = Path(__file__).resolve().parents[2]
    text = (root / "docs" / "container" / "Containerfile").read_text()
    project = tomllib.loads((root / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*wheel["packages"], *wheel["force-include"], project["project"]["readme"]]

    assert [name for name in needed if f"COPY {name} " not in text and name not in text.split("COPY relay")[0]] == []
    assert project["project"]["requires-python"].removeprefix(">=") in text
