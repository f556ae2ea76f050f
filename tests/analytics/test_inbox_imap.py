"""Reports collected in a mailbox elsewhere are fetched by IMAP: unseen ones, each once, nothing deleted unless told."""

from pathlib import Path

import pytest

from analytics.inbox.imap import ImapError, fetch
from analytics.inbox.intake import Intake
from relay.clock import SystemClock
from relay.settings import Imap
from relay.spool.journal import Journal
from tests.analytics.conftest import Room, room
from tests.analytics.test_inbox import PERSON, bounce
from tests.imap_server import imap_mailbox

__all__ = ["room"]


@pytest.fixture
def intake(room: Room, tmp_path: Path) -> Intake:
    journal = Journal(room.folder.path, "analytics", "mw1", SystemClock())
    return Intake(tmp_path, room.warehouse, journal, SystemClock())


def settings(port: int, **more: object) -> Imap:
    given = {"host": "127.0.0.1", "port": port, "tls": "none", "user": "reports", "password": 'se"cret'}
    return Imap.model_validate(given | more)


def test_unseen_mail_is_taken_once_and_marked_as_seen(intake: Intake, tmp_path: Path) -> None:
    with imap_mailbox({3: bounce(), 7: PERSON, 9: bounce(), 11: b""}) as box:
        box.flags[7].add("\\Seen")

        first = fetch(settings(box.port), intake)
        second = fetch(settings(box.port), intake)

    assert (first, second) == ((1, 1, 1), (0, 0, 0))  # two are the same, one is empty
    assert all("\\Seen" in flags for flags in box.flags.values())
    assert sorted(box.mails) == [3, 7, 9, 11]
    assert not any("EXPUNGE" in line or "BODY[]" in line.replace("BODY.PEEK[]", "") for line in box.log)
    (file,) = (tmp_path / "imported").glob("*/*.eml")
    assert file.read_bytes() == bounce()


def test_what_was_taken_is_deleted_only_when_told(intake: Intake) -> None:
    with imap_mailbox({3: bounce(), 4: b""}) as box:
        fetch(settings(box.port, delete=True), intake)

    assert sorted(box.mails) == [4]  # what was refused stays


@pytest.mark.parametrize("refused", ["LOGIN", "SELECT", "SEARCH"])
def test_a_server_that_refuses_is_named_with_the_setting(intake: Intake, refused: str) -> None:
    with imap_mailbox({3: bounce()}) as box:
        box.refuses.add(refused)

        with pytest.raises(ImapError, match=r"imap\.host = '127\.0\.0\.1', folder 'INBOX'"):
            fetch(settings(box.port), intake)

    assert box.flags == {3: set()}


def test_a_server_that_does_not_answer_is_named_too(intake: Intake) -> None:
    with pytest.raises(ImapError, match="Connection refused"):
        fetch(settings(1), intake)


def test_a_password_does_not_go_out_in_clear_text() -> None:
    with pytest.raises(ValueError, match=r"in clear text to imap\.example"):
        settings(143, host="imap.example")
    assert "secret" not in repr(Imap(host="imap.example", password="secret"))
