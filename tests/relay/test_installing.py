"""Five answers become a settings file that loads; units are what systemd itself calls sound."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from relay import log
from relay.cli import run
from relay.front.entrances import _IMPLICIT_TLS
from relay.installing.answers import Answers, BadAnswer, chosen, defaults
from relay.installing.units import Place, files
from relay.settings import Settings, load
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
    import os
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
    units = sorted((tmp_path / "out" / "systemd").iterdir())

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


def test_the_units_name_their_place_and_sockets_that_the_relay_knows() -> None:
    place = Place(program=Path("/p/mailweir"), config=Path("/c/m.toml"), data=Path("/d"), user="relay")
    found = files(place)

    for name in ("relay", "analytics", "dashboard"):
        text = found[f"systemd/mailweir-{name}.service"]
        assert f"ExecStart=/p/mailweir {name}\n" in text
        assert "MAILWEIR_CONFIG=/c/m.toml\n" in text
        assert "User=relay\n" in text
        assert "ReadWritePaths=/d\n" in text
    named = [text.partition("FileDescriptorName=")[2].split("\n")[0] for key, text in found.items() if ".socket" in key]
    assert set(named) == set(_IMPLICIT_TLS)
    assert "copytruncate" in found["logrotate.d/mailweir"]


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
