"""`mailweir spool`: reads what lies on the disk, while the relay runs and when it does not, and changes nothing."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from relay.cli import run
from tests.relay.test_spool import delivered, opened, put


@pytest.fixture
def data(tmp_path: Path, no_settings: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mailweir.toml").write_text(f'dir = "{tmp_path / "data"}"\n')
    monkeypatch.setenv("MAILWEIR_CONFIG", str(tmp_path / "mailweir.toml"))
    return tmp_path / "data"


def filled(data: Path) -> list[str]:
    """One queued, one held, one delivered message; the ids of the first two."""

    async def fill() -> list[str]:
        async with opened(data) as (spool, journal):
            content = b"Subject: caf\xc3\xa9\x1b[31m\r\nX-A: b\r\n\r\nbody\r\n"
            (queued, _) = await put(spool, journal, content, to=("x@one.example", "y@two.example"))
            (held,) = await put(spool, journal, b"\r\nspam\r\n", sender="acme|x-authuser|evil", is_held=True)
            (gone,) = await put(spool, journal, b"\r\ngone\r\n")
            spool.finish(gone, delivered(journal, gone))
            return [queued.message.message_id, held.message.message_id]

    return asyncio.run(fill())


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    status = run(["spool", *arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_ls_filters_by_state_sender_and_destination(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queued, held = filled(data)

    def ids(*arguments: str) -> list[str]:
        return [message["message_id"] for message in asked(capsys, "ls", *arguments)[1]]

    assert ids() == [queued, held]
    assert ids("--limit", "1") == [queued]
    assert ids("--state", "held") == [held]
    assert ids("--dest", "Two.example") == [queued]
    assert ids("--sender", "acme|x-authuser|evil") == [held]
    assert ids("--account", "nobody") == []


def test_ls_tells_mail_that_waits_under_a_limit_from_mail_that_waits_for_its_next_try(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fill() -> None:
        async with opened(data) as (spool, journal):
            await put(spool, journal, b"\r\nlater\r\n", rule="rate_delay")
            await put(spool, journal, b"\r\nnow\r\n", rule="accept")

    asyncio.run(fill())

    assert run(["spool", "ls"]) == 0
    assert [line.split()[3] for line in capsys.readouterr().out.splitlines()[1:]] == ["delayed", "queued"]


def test_check_is_content_with_a_sound_spool_and_changes_no_file(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(data)
    before = {path.name: path.read_bytes() for path in (data / "spool").iterdir()}

    status, found = asked(capsys, "check")

    assert (status, found["ok"]) == (0, True)
    assert (found["report"]["messages"], found["report"]["recipients"], found["report"]["held"]) == (2, 3, 1)
    assert found["report"]["orphan_bytes"] > 0  # of the delivered one
    assert {path.name: path.read_bytes() for path in (data / "spool").iterdir()} == before


def test_check_names_what_is_damaged_and_ends_with_1(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queued, _ = filled(data)
    (segment,) = (data / "spool").glob("*.seg")
    segment.write_bytes(segment.read_bytes().replace(b"X-A: b", b"X-A: c"))

    status, found = asked(capsys, "check")

    assert status == 1
    assert found["report"]["damaged"] == [queued]
    assert run(["spool", "check"]) == 1
    assert f"damaged: bytes gone or altered: {queued}" in capsys.readouterr().out


def test_it_reads_beside_a_running_relay(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def story() -> tuple[int, Any]:
        async with opened(data) as (spool, journal):
            await put(spool, journal, b"\r\nbody\r\n")
            return asked(capsys, "check")

    status, found = asyncio.run(story())

    assert (status, found["report"]["messages"]) == (0, 1)


def test_show_prints_envelope_headers_or_the_message_itself(data: Path, capsysbinary: Any) -> None:
    queued, _ = filled(data)

    assert run(["spool", "show", queued, "--headers"]) == 0
    shown = capsysbinary.readouterr().out
    assert run(["spool", "show", queued, "--raw"]) == 0
    raw = capsysbinary.readouterr().out

    assert b"x@one.example" in shown
    assert b"X-A: b" in shown
    assert b"\x1b" not in shown  # what a mail says never reaches the terminal raw
    assert raw == b"Received: x\r\nSubject: caf\xc3\xa9\x1b[31m\r\nX-A: b\r\n\r\nbody\r\n"
    assert run(["spool", "show", "mw1.999999"]) == 1


def test_export_writes_messages_with_their_envelopes_for_their_owner_only(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queued, held = filled(data)

    status, done = asked(capsys, "export", "--all", str(tmp_path / "out"))

    assert (status, done["written"], done["damaged"]) == (0, [f"{queued}.eml", f"{held}.eml"], [])
    assert (tmp_path / "out" / f"{held}.eml").read_bytes() == b"Received: x\r\n\r\nspam\r\n"
    envelope = json.loads((tmp_path / "out" / f"{queued}.json").read_text())
    assert envelope["mail_from"] == "a@acme.example"
    assert [r["address"] for r in envelope["recipients"]] == ["x@one.example", "y@two.example"]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}
    assert run(["spool", "export", queued, str(tmp_path / "out")]) == 1  # never overwrites
    assert run(["spool", "export", str(tmp_path / "out")]) == 2


def test_a_spool_that_is_not_there_is_said_clearly(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["spool", "ls"]) == 1
    assert "there is no spool; has the relay ever run" in capsys.readouterr().err
    assert not data.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_of_somebody_else_are_said_clearly(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(data)
    (data / "spool" / "index.sqlite").chmod(0)

    assert run(["spool", "ls"]) == 1
    assert "call this as the user that runs the relay" in capsys.readouterr().err
