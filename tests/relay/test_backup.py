"""Backup and restore of the relay's part: what the cut holds, what a restore refuses, what journals settle."""

import asyncio
import os
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.backup import restoring, surviving
from relay.backup.copying import Copier
from relay.backup.manifest import DATA, Manifest, NoBackup, read, write
from relay.backup.mark import MARK, HalfRestored, refuse_half
from relay.backup.restoring import RestoreRefused
from relay.backup.settling import ID_GAP, settle
from relay.backup.taking import AnotherBackup, is_taken, taking
from relay.running.node import run
from relay.settings import Settings
from relay.spool import index
from relay.spool.cut import STAGING, take_alone
from relay.spool.inspection import Inspection
from tests.delivering import CONTENT, Delivering, delivering, delivery_settings, story

NOW = datetime.now(UTC)


def manifest(copier: Copier, node: str = "mw1") -> Manifest:
    return Manifest(
        version="1",
        node=node,
        dir="/x",
        cut_at=NOW,
        finished_at=NOW,
        relay_ran=False,
        analytics_ran=False,
        messages=0,
        recipients=0,
        entries=copier.entries,
    )


def waiting(folder: Path) -> dict[str, list[str]]:
    """message id -> its recipients, of a spool that nobody has open."""
    inspection = Inspection(folder / "spool", "mw1")
    try:
        found = [(one, state) for one, state in inspection.messages()]
        return {
            one.message_id: [rcpt.address for rcpt in inspection.envelope(one, state).recipients]  # type: ignore[union-attr]
            for one, state in found
        }
    finally:
        inspection.close()


def backed_up(folder: Path, target: Path) -> Path:
    """A backup of a data folder whose relay does not run."""
    take_alone(folder / "spool", folder / "journal")
    copier = Copier(target / DATA, lambda count: None)
    for room in ("spool", "journal"):
        for path in sorted((folder / room / STAGING).iterdir()):
            copier.copy(path, f"{room}/{path.name}")
    write(target, manifest(copier))
    return target


@pytest.fixture
def spooled(tmp_path: Path) -> Path:
    """A data folder with three messages, five recipients, that were never tried."""

    async def fill() -> None:
        async def store(parts: Delivering) -> None:
            for addresses in (("a@d.example",), ("b@d.example", "c@d.example"), ("e@d.example", "f@d.example")):
                await parts.store(*addresses, due_unix=4e9)

        async with delivering(delivery_settings(tmp_path / "old", 1), before_start=store):
            pass

    asyncio.run(fill())
    return tmp_path / "old"


@story
async def test_a_cut_has_what_was_stored_before_and_nothing_that_came_or_went_later(tmp_path: Path) -> None:
    async with delivering(delivery_settings(tmp_path, 1)) as parts:
        first, second = await parts.store("a@d.example", due_unix=4e9), await parts.store("b@d.example", due_unix=4e9)
        cut = await parts.spool.cuts.take()
        for recipient in (*first, *second):
            parts.spool.finish(recipient, parts_record(parts, recipient))
        third = await parts.store("c@d.example", due_unix=4e9)
        await parts.spool.settle()

        staged = tmp_path / "spool" / STAGING
        with sqlite3.connect(staged / "index.sqlite") as copy:
            addresses = [row[0] for row in copy.execute("SELECT address FROM recipient ORDER BY id")]
        copy.close()
        assert addresses == ["a@d.example", "b@d.example"]
        assert (cut.messages, cut.recipients) == (2, 2)
        assert CONTENT in b"".join(path.read_bytes() for path in staged.glob("*.seg"))
        journaled = b"".join((tmp_path / "journal" / STAGING / name).read_bytes()[:size] for name, size in cut.journal)
        assert third[0].message.message_id.encode() not in journaled
        assert all(one[0].message.message_id.encode() in journaled for one in (first, second))


def parts_record(parts: Delivering, recipient: object) -> object:
    from relay.events import Delivery

    return Delivery(
        **parts.journal.stamp(),
        message_id=recipient.message.message_id,  # type: ignore[attr-defined]
        account="acme",
        sender="acme|x|y",
        recipient_id=recipient.id,  # type: ignore[attr-defined]
        recipient=recipient.address,  # type: ignore[attr-defined]
        destination="d.example",
        attempt=1,
        received_at=NOW,
        queued_seconds=0.1,
    )


def test_a_backup_comes_back_whole_and_new_mail_gets_ids_never_given_before(spooled: Path, tmp_path: Path) -> None:
    backup, new = backed_up(spooled, tmp_path / "backup"), Settings(dir=tmp_path / "new")
    before = waiting(spooled)

    restored = restoring.restore(backup, new, None, lambda count: None)

    assert before == waiting(new.dir)
    assert (restored.messages, restored.recipients, restored.held, restored.damaged) == (3, 5, 0, [])
    with index.connect(new.dir / "spool" / "index.sqlite") as connection:
        assert index.get_meta(connection, "next_id") >= ID_GAP
    connection.close()
    assert not (new.dir / MARK).exists()


def test_an_altered_byte_is_found_by_dry_run_and_by_restore_and_nothing_may_start_on_the_half(
    spooled: Path, tmp_path: Path
) -> None:
    backup, new = backed_up(spooled, tmp_path / "backup"), Settings(dir=tmp_path / "new")
    segment = next((backup / DATA / "spool").glob("*.seg"))
    content = segment.read_bytes()
    segment.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    with pytest.raises(NoBackup, match=segment.name):
        restoring.verify(backup, lambda count: None)
    with pytest.raises(NoBackup, match=segment.name):
        restoring.restore(backup, new, None, lambda count: None)
    with pytest.raises(HalfRestored):
        refuse_half(new.dir)
    assert run(new) == 1
    with pytest.raises(RestoreRefused, match="cut off"):
        restoring.restore(backup, new, None, lambda count: None)


@pytest.mark.parametrize("trouble", ["full folder", "other node", "no manifest", "climbing path"])
def test_a_restore_refuses_what_does_not_fit_and_changes_nothing(spooled: Path, tmp_path: Path, trouble: str) -> None:
    backup, new = backed_up(spooled, tmp_path / "backup"), Settings(dir=tmp_path / "new")
    match trouble:
        case "full folder":
            new.dir.mkdir()
            (new.dir / "state.sqlite").touch()
        case "other node":
            new = new.model_copy(update={"node": new.node.model_copy(update={"name": "mw2"})})
        case "no manifest":
            (backup / "manifest.json").unlink()
        case "climbing path":
            text = (backup / "manifest.json").read_text()
            (backup / "manifest.json").write_text(text.replace("spool/index.sqlite", "../index.sqlite"))
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises((RestoreRefused, NoBackup)):
        restoring.restore(backup, new, None, lambda count: None)

    assert before == sorted(tmp_path.rglob("*"))


def lines(*records: dict[str, object]) -> bytes:
    import msgspec

    return b"".join(msgspec.json.encode({"node": "mw1", **record}) + b"\n" for record in records)


def test_what_the_journal_says_has_left_is_not_sent_again_and_what_came_after_the_cut_is_named(
    spooled: Path, tmp_path: Path
) -> None:
    (one, (a,)), (two, (b, c)), (three, (e, f)) = waiting(spooled).items()
    first, second = int(one.rpartition(".")[2]), int(two.rpartition(".")[2])
    later = (NOW + timedelta(seconds=5)).isoformat()
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(
        lines(
            {"kind": "Delivery", "message_id": one, "recipient_id": first},
            {"kind": "Bounce", "message_id": two, "recipient_id": second + 1},
            {"kind": "Deferral", "message_id": two, "recipient_id": second},
            {"kind": "Delivery", "message_id": "other.9", "recipient_id": second, "node": "other"},
            {"kind": "Dropped", "message_id": three},
            {
                "kind": "Reception",
                "message_id": "mw1.900",
                "recipients": [{"id": 900}, {"id": 901}],
                "received_at": later,
            },
            {"kind": "Reception", "message_id": "mw1.950", "recipients": [{"id": 950}], "received_at": later},
            {"kind": "Delivery", "message_id": "mw1.900", "recipient_id": 900},
            {"kind": "Delivery", "message_id": "mw1.950", "recipient_id": 950},
        )
        + b'{"kind": "Deliv'
    )

    settled = settle(spooled / "spool", [journal], "mw1", NOW)

    assert {two: [b]} == waiting(spooled), (a, c, e, f)
    assert (settled.finished, settled.lost) == (4, ["mw1.900"])
    with sqlite3.connect(spooled / "spool" / "index.sqlite") as connection:
        counted = connection.execute("SELECT value FROM meta WHERE name = 'recipients'").fetchone()
        alive = connection.execute("SELECT sum(messages) FROM segment").fetchone()
    connection.close()
    assert (counted, alive) == ((1,), (1,))


def test_surviving_journals_replace_their_own_beginnings_and_add_what_is_new(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    (theirs / "archive").mkdir(parents=True)
    ours.mkdir()
    (ours / "relay-mw1-1.jsonl.open").write_bytes(b"1\n")
    (ours / "relay-mw1-0.jsonl").write_bytes(b"whole\n")
    (theirs / "relay-mw1-0.jsonl").write_bytes(b"whole\n")
    (theirs / "relay-mw1-1.jsonl").write_bytes(b"1\n2\n")
    (theirs / "relay-mw1-2.jsonl.open").write_bytes(b"3\n")
    (theirs / "archive" / "relay-20260101T10.jsonl").write_bytes(b"4\n")

    joined = surviving.join(ours, theirs, NOW)

    assert len(joined) == 3
    found = {path.name.partition("-survived")[0]: path.read_bytes() for path in ours.iterdir()}
    assert found == {
        "relay-mw1-0.jsonl": b"whole\n",
        "relay-mw1-1.jsonl": b"1\n2\n",
        "relay-mw1-2.jsonl.open": b"3\n",
        "relay": b"4\n",
    }


def test_one_backup_at_a_time_and_the_lock_goes_with_its_holder(tmp_path: Path) -> None:
    with taking(tmp_path):
        assert is_taken(tmp_path)
        with pytest.raises(AnotherBackup), taking(tmp_path):
            pass
    assert not is_taken(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_backs_up_and_restores_belongs_to_the_owner_of_the_folder(spooled: Path, tmp_path: Path) -> None:
    backup, new = backed_up(spooled, tmp_path / "backup"), Settings(dir=tmp_path / "new")
    new.dir.mkdir()
    os.chown(new.dir, 12345, 12345)

    restoring.restore(backup, new, None, lambda count: None)
    with taking(new.dir):
        owners = {path.stat().st_uid for path in new.dir.rglob("*")}

    assert owners == {12345}


def test_a_manifest_of_a_later_format_is_refused(spooled: Path, tmp_path: Path) -> None:
    backup = backed_up(spooled, tmp_path / "backup")
    text = (backup / "manifest.json").read_text()
    (backup / "manifest.json").write_text(text.replace('"format": 1', '"format": 2'))

    with pytest.raises(NoBackup, match="format 2"):
        read(backup)
    shutil.rmtree(backup)
