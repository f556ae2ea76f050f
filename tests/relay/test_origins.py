"""Where mail with a return path of ours came from: known as long as its bounces may come, then forgotten."""

import sqlite3
from pathlib import Path

from relay.clock import SystemClock
from relay.spool.origins import Origin
from tests.delivering import story
from tests.relay.test_spool import delivered, opened, put

DOMAIN = "bounce.acme.example"


@story
async def test_an_origin_outlives_its_message_and_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as (spool, journal):
        first, second = await put(spool, journal, b"x\r\n", to=("x@d.example", "y@d.example"), return_domain=DOMAIN)
        for recipient in (first, second):
            spool.finish(recipient, delivered(journal, recipient))
        await spool.settle()
        assert spool.counts().messages == 0

    async with opened(tmp_path) as (spool, _journal):
        found = spool.origins.find(first.id)
        unknown = spool.origins.find(second.id)

    recipients = ("x@d.example", "y@d.example")
    assert found == Origin(first.id, "a@acme.example", "acme", "", "acme|mailfrom|a@acme.example", recipients)
    assert unknown is None


@story
async def test_mail_without_a_return_path_of_ours_leaves_no_origin(tmp_path: Path) -> None:
    async with opened(tmp_path) as (spool, journal):
        (recipient,) = await put(spool, journal, b"x\r\n")

        assert spool.origins.find(recipient.id) is None


@story
async def test_origins_are_forgotten_by_age_all_of_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as (spool, journal):
        (kept,) = await put(spool, journal, b"x\r\n", return_domain=DOMAIN)
        with sqlite3.connect(tmp_path / "spool" / "index.sqlite") as index:
            old = [(number, 5.0) for number in range(10_000_000, 10_004_500)]
            index.executemany("INSERT INTO origin VALUES (?, 'a@b', 'acme', '', 's', 'x@d', ?)", old)

        await spool.origins.forget(SystemClock().unix() - 60)

        with sqlite3.connect(tmp_path / "spool" / "index.sqlite") as index:
            assert index.execute("SELECT id FROM origin").fetchall() == [(kept.id,)]


@story
async def test_a_salvaged_index_still_knows_its_origins(tmp_path: Path) -> None:
    async with opened(tmp_path) as (spool, journal):
        (recipient,) = await put(spool, journal, b"x\r\n", return_domain=DOMAIN)
    (tmp_path / "spool" / "index.suspect").touch()
    with sqlite3.connect(tmp_path / "spool" / "index.sqlite") as index:
        index.execute("PRAGMA writable_schema = 1")
        index.execute("UPDATE sqlite_schema SET rootpage = 1 WHERE name = 'answered_until'")  # what nobody copies

    async with opened(tmp_path) as (spool, _journal):
        found = spool.origins.find(recipient.id)

    assert found is not None
    assert found.recipients == ("x@dest.example",)
    assert list((tmp_path / "spool").glob("index.damaged-*"))
