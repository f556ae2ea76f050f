"""clamd and DNS lists of domains: what they find decides, what they do not answer is named, mail goes on."""

import asyncio
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from relay.clock import SystemClock
from relay.content.checkers import Checked, Checkers
from relay.content.rule_book import load_rules
from relay.events import Action
from relay.settings import Settings, SettingsError
from tests.builders import free_port, until
from tests.nameserver import NameServer

VIRUS = next(rule.example for rule in load_rules().rule if rule.id == "eicar").encode()
ZONE = """
bad.example.list.test. 60 A 127.0.1.2
abused.example.list.test. 60 A 127.0.1.102
refused.example.list.test. 60 A 127.255.255.254
wild.example.list.test. 60 A 203.0.113.7
"""


def checkers(nameserver: str = "", **options: object) -> Checkers:
    values = {"delivery": {"nameservers": [nameserver] if nameserver else []}, "checkers": options}
    return Checkers(Settings(**values), SystemClock())  # type: ignore[arg-type]


def check(one: Checkers, *domains: str, content: bytes = b"Subject: x\r\n\r\nhello") -> Checked:
    return asyncio.run(one.check([content], len(content), domains))


def seen(checked: Checked) -> list[tuple[Action, str, str]]:
    return [(hit.action, hit.code, hit.seen) for hit in checked.hits]


def with_clamd(path: Path, answer: bytes, *contents: bytes, seconds: float = 2) -> tuple[list[bytes], list[Checked]]:
    """Speak with a clamd that gives one answer ("" none at all); returns what it was sent, and what was made of it."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(10) == b"zINSTREAM\0"
        content = b""
        while length := struct.unpack(">I", await reader.readexactly(4))[0]:
            content += await reader.readexactly(length)
        received.append(content)
        if answer:
            writer.write(answer)
        else:
            await reader.read()
        writer.close()

    async def run() -> list[Checked]:
        server = await asyncio.start_unix_server(serve, path)
        async with server:
            one = checkers(clamd=str(path), seconds=seconds)
            return [await one.check([content], len(content), []) for content in contents]

    found = asyncio.run(run())
    return received, found


def test_a_virus_that_clamd_names_refuses_the_message(tmp_path: Path) -> None:
    large = b"x" * 300_000

    received, [first, second] = with_clamd(tmp_path / "c", b"stream: Win.Test FOUND\0", b"small", large)

    assert received == [b"small", large]
    assert seen(first) == [(Action.REJECT, "MW", "clamd found Win.Test")]
    assert second.unchecked == ()


def test_what_clamd_calls_ok_is_clean_and_any_other_answer_is_not_checked(tmp_path: Path) -> None:
    assert with_clamd(tmp_path / "a", b"stream: OK\0", b"x")[1] == [Checked()]
    for number, answer in enumerate((b"INSTREAM size limit exceeded. ERROR\0", b"stream: ", b"\xff")):
        [found] = with_clamd(tmp_path / f"b{number}", answer, b"x")[1]
        assert found.hits == ()
        assert found.unchecked[0].startswith("clamd (answered")


def test_a_clamd_that_hangs_or_is_down_costs_its_time_and_is_named(tmp_path: Path) -> None:
    [hanging] = with_clamd(tmp_path / "c", b"", b"x", seconds=0.1)[1]
    down = check(checkers(clamd=str(tmp_path / "nobody")))
    large = check(checkers(clamd=str(tmp_path / "nobody"), clamd_max_bytes=5))

    assert hanging.unchecked == ("clamd (no answer within 0.1 s)",)
    assert down.unchecked[0].startswith("clamd (")
    assert large.unchecked == ("clamd (larger than checkers.clamd_max_bytes = 5)",)


@pytest.mark.skipif(shutil.which("clamd") is None, reason="clamd is not installed")
def test_debians_clamd_finds_our_own_signature(tmp_path: Path) -> None:
    socket, database = tmp_path / "clamd.sock", tmp_path / "db"
    database.mkdir()
    (database / "own.ndb").write_text(f"Mailweir.Test:0:*:{b'mailweir test signature'.hex()}\n")
    config = tmp_path / "clamd.conf"
    config.write_text(f"LocalSocket {socket}\nDatabaseDirectory {database}\nForeground yes\nUser root\n")
    process = subprocess.Popen(["clamd", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(socket.exists, 60)
        found = check(checkers(clamd=str(socket), seconds=20), content=b"\r\n\r\nmailweir test signature\r\n")
        clean = check(checkers(clamd=str(socket), seconds=20))
    finally:
        process.terminate()
        process.wait()

    assert "Mailweir.Test" in seen(found)[0][2]
    assert clean == Checked()


def test_a_listed_domain_refuses_an_abused_one_is_shown_and_a_clean_one_is_asked_once() -> None:
    with NameServer(ZONE) as server:
        one = checkers(server.address, url_lists=["list.test"], url_lists_agreed=True)

        async def run() -> list[Checked]:
            return [
                await one.check([], 0, domains)
                for domains in (["bad.example", "good.example"], ["abused.example"], ["good.example", "bad.example"])
            ]

        bad, abused, again = asyncio.run(run())
        asked = server.asked

    assert seen(bad) == seen(again) == [(Action.REJECT, "URL", "links to bad.example, listed by list.test")]
    assert seen(abused) == [(Action.ACCEPT, "URL", "links to abused.example, abused says list.test")]
    assert asked == 3


def test_a_lists_refusal_and_its_failure_never_mean_listed_nor_clean() -> None:
    with NameServer(ZONE) as server:
        one = checkers(server.address, url_lists=["list.test", "servfail.test"], url_lists_agreed=True)
        found = check(one, "refused.example")
        wild = check(checkers(server.address, url_lists=["list.test"], url_lists_agreed=True), "wild.example")

    assert found.hits == wild.hits == ()
    assert found.unchecked[0].startswith("list.test (answers 127.255.255.254: no listing but a refusal")
    assert found.unchecked[1].startswith("servfail.test (")
    assert "203.0.113.7" in wild.unchecked[0]


@pytest.mark.skipif(shutil.which("rbldnsd") is None, reason="rbldnsd is not installed")
def test_rbldnsd_is_asked_as_it_answers() -> None:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:  # not pytest's: nobody may not read that
        zone = Path(folder) / "zone"
        zone.write_text(":127.0.1.4:listed\n.bad.example\n")
        Path(folder).chmod(0o755)
        command = ["rbldnsd", "-n", "-b", f"127.0.0.1/{port}", "-w", folder, "-u", "nobody", "list.test:dnset:zone"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            one = checkers(f"127.0.0.1:{port}", url_lists=["list.test"], url_lists_agreed=True, seconds=1)
            until(lambda: not check(one, "other.example").unchecked, 40)
            found = check(one, "bad.example")
        finally:
            process.terminate()
            process.wait(10)

    assert seen(found) == [(Action.REJECT, "URL", "links to bad.example, listed by list.test")]


def test_a_checker_that_stays_silent_is_left_alone_for_a_while() -> None:
    one = checkers("127.0.0.1:9", url_lists=["list.test"], url_lists_agreed=True, seconds=0.1)

    found = [check(one, f"{number}.example").unchecked[0] for number in range(4)]

    assert found[:3] == ["list.test (no answer within 0.1 s)"] * 3
    assert found[3] == "list.test (was silent, is asked again soon)"


def test_lists_need_the_operators_word_and_clamd_an_address() -> None:
    with pytest.raises(ValidationError, match="url_lists_agreed"):
        checkers(url_lists=["list.test"])
    with pytest.raises(SettingsError, match=r"checkers\.clamd = 'localhost'"):
        checkers(clamd="localhost")
    assert not checkers().is_on
