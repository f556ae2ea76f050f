"""Searching messages in a real warehouse: what each field finds, whose rows, how far back, and how it ends."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analytics.ingesting.ingest import Ingest
from analytics.ingesting.journals import JournalFolder
from analytics.search.fields import FIELDS
from analytics.search.finding import Asked, BadQuery, every, find
from analytics.search.ways import SCHEMA
from analytics.serving.ask import GivenUp, Stop
from analytics.warehouse import Warehouse
from relay.events import Complaint, Deferral, Features, Label, Rcpt, Released
from relay.settings import Policy
from relay.tree import Scope
from tests.analytics.conftest import Room
from tests.analytics.records import START, Story

NOW = START + timedelta(hours=6)
WHOLE = Scope()
SHOP, ACME = "shop|x-authuser|joe@shop.example", "acme|mailfrom|news@acme.example"


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """Five messages and two refusals, a minute apart; one message has two recipients. Nobody changes it."""
    folder = JournalFolder(tmp_path_factory.mktemp("search") / "journal")
    warehouse = Warehouse.open(folder.path.parent / "warehouse.duckdb", folder.path)
    room, story = Room(warehouse, folder, Ingest(warehouse, folder, Policy())), Story()
    room.bring(
        story.reception(1, 0, rcpts=2, subject="50% off_today", features=Features(links=4, link_domains=["bit.ly"])),
        story.delivery(1, 0, 90, index=0, text="OK", source="203.0.113.1", remote="mx1.post.example"),
        story.bounce(1, 0, 5, index=1, category="BadMailbox"),
        story.reception(2, 60, sender=SHOP, mail_from="joe@shop.example", score=0.7, client_ip="198.51.100.77"),
        Deferral(
            **story.attempt(2, 60, 3, sender=SHOP, code=421, enhanced="4.7.0", text="Slow down", attempt=1),
            due_at=NOW,
            category="Throttled",
        ),
        Deferral(
            **story.attempt(2, 60, 300, sender=SHOP, code=451, enhanced="4.7.1", text="Still slow", attempt=2),
            due_at=NOW,
            category="Throttled",
        ),
        story.reception(3, 120, action="hold", rule="spam_rate", score=0.97, subject="Ihre Rechnung \\ 7"),
        story.reception(4, 180, action="hold", rule="spam_rate", score=0.2),
        Released(**story.stamp(500), **story.whose(4), decision_id="d", author="ann"),
        Label(**story.stamp(501), **story.whose(4), label="ham", origin="release", weight=0.7, author="ann"),
        story.delivery(4, 180, 400),
        Complaint(**story.stamp(900), message_id="mw1.1", reported_at=START, recipient="r0@post.example"),
        story.rejection(0, 240, sender=SHOP, mail_from="", recipients=[Rcpt(0, "x@else.example")], text="[XX] no"),
        story.rejection(0, 300, sender=SHOP, action="defer", rule="rate", code=451, enhanced="4.7.1", text="later"),
        story.reception(
            5, 360, sender=SHOP, mail_from="", recipients=[Rcpt(5, "R0@Post.Example")], client_ip="2001:db8::1"
        ),
    )
    yield room
    warehouse.close()


def ids(room: Room, query: str, scope: Scope = WHOLE, account: str = "", rows: int = 500) -> list[str]:
    """`message number/recipient` of what was found, newest first; refusals are r and their second of reception."""
    found = find(room.warehouse, Asked(query, scope, NOW, account, rows)).table.to_pylist()
    return [f"{_name(row)}/{(row['recipient'] or '').split('@')[0]}" for row in found]


def _name(row: dict[str, Any]) -> str:
    if row["outcome"] == "refused":
        return f"r{int((row['received_at'] - START).total_seconds())}"
    return str(row["message_id"]).removeprefix("mw1.")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("sender_id:joe@shop.example AND delivered:N", "sender:joe@shop.example AND delivered:N"),
        ("rcpt:r1@post.example", "to:r1@post.example"),
        ("date:2026-11-24 transaction_id:mw1.2", "time:2026-11-24 id:mw1.2"),
        ("envelope_sender:joe@shop.example", "from:joe@shop.example"),
    ],
)
def test_mailchannels_names_of_fields_find_the_same(mail: Room, theirs: str, ours: str) -> None:
    assert ids(mail, theirs) == ids(mail, ours)


def test_a_recipient_that_does_not_exist_is_found_and_no_other(mail: Room) -> None:
    assert ids(mail, "rcpt_bad:y") == ["1/r1"]
    assert "1/r1" not in ids(mail, "rcpt_bad:N")


def test_a_field_of_mailchannels_that_is_not_here_is_answered_with_ours(mail: Room) -> None:
    with pytest.raises(BadQuery, match=r"score:>0\.9"):
        ids(mail, "spam_disposition:bulk")


def test_without_a_word_it_finds_every_way_newest_first(mail: Room) -> None:
    assert ids(mail, "") == ["5/R0", "r300/", "r240/x", "4/r0", "3/r0", "2/r0", "1/r0", "1/r1"]
    found = find(mail.warehouse, Asked("", Scope(), NOW))
    assert found.table.schema == SCHEMA
    assert found.is_complete


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("to:r1@post.example", ["1/r1"]),
        ("to:R0@POST.example", ["5/R0", "4/r0", "3/r0", "2/r0", "1/r0"]),
        ("to:*@else.example", ["r240/x"]),
        ("domain:else.example", ["r240/x"]),
        ("sender:news@acme.example", ["4/r0", "3/r0", "1/r0", "1/r1"]),
        (f"sender:{SHOP}", ["5/R0", "r300/", "r240/x", "2/r0"]),
        ("sender:joe@*", ["5/R0", "r300/", "r240/x", "2/r0"]),
        ("sender:oe@shop.example", []),
        ("from:joe@shop.example", ["2/r0"]),
        ('from:"" AND action:accept', ["5/R0"]),
        ("subject:rechnung", ["3/r0"]),
        ('subject:"50% off"', ["1/r0", "1/r1"]),
        ("subject:off_t", ["1/r0", "1/r1"]),
        ("subject:offxt", []),
        ("subject:0\\%", ["1/r0", "1/r1"]),
        ('subject:"\\\\"', ["3/r0"]),
        ("score:0.5..0.9", ["2/r0"]),
        ("score>0.9 action:hold", ["3/r0"]),
        ("action:hold,reject", ["r240/x", "4/r0", "3/r0"]),
        ("ip:198.51.100.64/26", ["2/r0"]),
        ("ip:198.51.100.*", ["2/r0"]),
        ("ip:2001:db8:*", ["5/R0"]),
        ("outcome:held", ["3/r0"]),
        ("outcome:waiting", ["5/R0"]),
        ("outcome:deferred", ["2/r0"]),
        ("outcome:refused", ["r300/", "r240/x"]),
        ("delivered:Y", ["4/r0", "1/r0"]),
        ("delivered:N AND sender:news@acme.example", ["3/r0", "1/r1"]),
        ("bounced:y", ["1/r1"]),
        ("deferred:Y", ["2/r0"]),
        ("class:BadMailbox", ["1/r1"]),
        ("class:throttled", ["2/r0"]),
        ("code:451", ["r300/", "2/r0"]),
        ("enhanced:4.7.*", ["r300/", "2/r0"]),
        ("reply:still", ["2/r0"]),
        ("reply:[XX]", ["r240/x"]),
        ("tries:2", ["2/r0"]),
        ("delay:>1m", ["4/r0", "1/r0"]),
        ("source:203.0.113.1", ["1/r0"]),
        ("remote:mx1.*", ["1/r0"]),
        ("released:Y", ["4/r0"]),
        ("released:N action:hold", ["3/r0"]),
        ("complained:Y", ["1/r0", "1/r1"]),
        ("spam:Y", ["1/r0", "1/r1"]),
        ("ham:Y", ["4/r0"]),
        ("stopped:Y", ["r300/", "r240/x", "4/r0", "3/r0"]),
        ("link:BIT", ["1/r0", "1/r1"]),
        ("f_links:>=4", ["1/r0", "1/r1"]),
        ("recipients:2", ["1/r0", "1/r1"]),
        ("id:mw1.3", ["3/r0"]),
        ("rechnung", ["3/r0"]),
        ("else.example", ["r240/x"]),
        ("rechnung OR else.example", ["r240/x", "3/r0"]),
        ("(to:r1@* OR subject:rechnung) AND NOT bounced:Y", ["3/r0"]),
        ("-account:acme -action:reject,defer", ["5/R0", "2/r0"]),
        ("time:2026-11-24T09:02", ["3/r0"]),
        ("time:2026-11-24T09:02..2026-11-24T09:03", ["4/r0", "3/r0"]),
        ("time:>2026-11-24T09:04", ["5/R0", "r300/"]),
        ("time:<2026-11-24T09:01", ["1/r0", "1/r1"]),
        ("time:2026-11-23", []),
        ("NOT time:2026-11-24", []),
    ],
)
def test_a_query_finds_the_ways_it_describes(mail: Room, query: str, expected: list[str]) -> None:
    assert ids(mail, query) == expected


def test_every_example_of_a_field_is_a_query(mail: Room) -> None:
    examples = [f"({field.example})" for field in FIELDS.values()]
    for start in range(0, len(examples), 30):  # each is bound against the tables, whatever it finds
        assert isinstance(ids(mail, " OR ".join(examples[start : start + 30])), list)


def test_the_conditions_of_a_query_are_about_the_same_recipient(mail: Room) -> None:
    assert ids(mail, "to:r0@post.example AND bounced:Y") == []
    assert ids(mail, "to:r1@post.example AND bounced:Y") == ["1/r1"]


def test_the_scope_holds_whatever_the_query_says(mail: Room) -> None:
    acme = Scope(account="acme")

    assert ids(mail, "", acme) == ["4/r0", "3/r0", "1/r0", "1/r1"]
    assert ids(mail, "account:shop", acme) == []
    assert ids(mail, "account:shop OR id:mw1.2 OR delivered:N", acme) == ["3/r0", "1/r1"]
    assert ids(mail, "", acme, account="shop") == []
    assert ids(mail, "", Scope(reseller="north")) == []
    assert ids(mail, "", account="shop") == ["5/R0", "r300/", "r240/x", "2/r0"]


def test_values_never_become_sql(mail: Room) -> None:
    for value in ("x') OR true --", "' OR ''='", "$q0", "\\'", "%", "_"):
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        for name in ("to", "subject", "sender", "reply", "helo"):
            found = ids(mail, f'{name}:"{quoted}"')
            assert "5/R0" not in found, (name, value)


def test_rows_are_bounded_and_it_says_that_there_are_more(mail: Room) -> None:
    found = find(mail.warehouse, Asked("", Scope(), NOW, rows=3))

    assert found.table.num_rows == 3
    assert not found.is_complete
    assert find(mail.warehouse, Asked("", Scope(), NOW, rows=8)).is_complete


def test_old_mail_is_found_only_when_its_time_or_its_id_is_named(room: Room) -> None:
    story = Story(start=NOW - timedelta(days=40))
    room.bring(story.reception(7, 0), story.rejection(0, 60))

    assert ids(room, "account:acme") == []
    assert ids(room, "id:mw1.7") == ["7/r0"]
    assert ids(room, "id:mw1.7 OR account:acme") == []
    assert ids(room, "time:60d") == ["r60/"] or len(ids(room, "time:60d")) == 2
    assert len(ids(room, "time:2026-10-01..")) == 2
    assert len(ids(room, "time:..2026-10-16")) == 2


def test_an_export_is_the_whole_of_a_search(mail: Room) -> None:
    tables = list(every(mail.warehouse, Asked("account:acme", Scope(), NOW)))

    assert sum(table.num_rows for table in tables) == 4
    assert all(table.schema.equals(tables[0].schema) for table in tables)


def test_a_search_can_be_given_up(mail: Room) -> None:
    stop = Stop()
    stop.set()

    with pytest.raises(GivenUp):
        find(mail.warehouse, Asked("", Scope(), NOW), stop)


def test_an_unreadable_query_points_at_the_place(mail: Room) -> None:
    with pytest.raises(BadQuery) as caught:
        find(mail.warehouse, Asked("to:a AND sendr:b", Scope(), NOW))

    line, carets, fix = str(caught.value).splitlines()
    assert line == "to:a AND sendr:b"
    assert carets == "         ^^^^^"
    assert "did you mean `sender`" in fix


def test_an_empty_warehouse_answers(room: Room) -> None:
    found = find(room.warehouse, Asked("to:x", Scope(), datetime.now(UTC)))

    assert found.table.num_rows == 0
    assert found.is_complete
