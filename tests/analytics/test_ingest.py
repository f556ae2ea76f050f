"""Journal files come into the warehouse exactly once, in any order, whatever is broken."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from analytics.ingesting.ingest import Ingest
from analytics.ingesting.rollups import merge
from relay.events import (
    Action,
    AlarmRaised,
    AuthFailure,
    Complaint,
    DecisionLogged,
    Deferral,
    Dropped,
    Expiration,
    Held,
    Inbound,
    Listing,
    Record,
    Released,
    Unsubscribe,
    encode,
)
from relay.settings import Policy
from tests.analytics.conftest import Room
from tests.analytics.records import START, Story, traffic, write

COUNTS = """
SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM rejection), (SELECT count(*) FROM recipient),
       (SELECT count(*) FROM deferral), (SELECT count(*) FROM held_event), (SELECT count(*) FROM decision),
       (SELECT count(*) FROM complaint), (SELECT count(*) FROM auth_failure), (SELECT count(*) FROM listing),
       (SELECT count(*) FROM alarm), (SELECT count(*) FROM inbound), (SELECT count(*) FROM unsubscribe)
"""
# The rollup against the single events it was made of.
DRIFT = """
SELECT minute, sender, sum(accepted), sum(held), sum(parked), sum(rejected), sum(throttled), sum(scored),
       sum(delivered), round(sum(score_sum), 6)
FROM {source}
GROUP BY ALL
HAVING sum(accepted + held + parked + rejected + throttled + delivered) > 0
"""
ROLLED = DRIFT.format(source="rollup_minute")
_SUMS = """sum(accepted)::BIGINT, sum(held)::BIGINT, sum(rejected)::BIGINT, sum(scored)::BIGINT, round(sum(spam), 6),
       sum(delivered)::BIGINT, sum(bounced)::BIGINT, sum(complaints)::BIGINT"""
_LEFT = "sum(delivered)::BIGINT, sum(bounced)::BIGINT, sum(sent_scored)::BIGINT, round(sum(sent_spam), 6)"
BY_HOUR = f"SELECT hour, account, reseller, sender, max(last_at), {_SUMS} FROM rollup_hour GROUP BY ALL"
HOURS_OF_MINUTES = f"""
SELECT date_trunc('hour', minute), account, reseller, sender, max(minute), {_SUMS} FROM rollup_minute GROUP BY ALL
"""
BY_SOURCE = f"SELECT hour, source, max(last_at), {_LEFT} FROM rollup_source GROUP BY ALL"
SOURCES_OF_MINUTES = f"""
SELECT date_trunc('hour', minute), source, max(minute), {_LEFT} FROM rollup_minute WHERE source <> '' GROUP BY ALL
"""
ROWS = """
SELECT (SELECT count(*) FROM rollup_minute) + (SELECT count(*) FROM rollup_hour) + (SELECT count(*) FROM rollup_source)
"""
SINGLE = DRIFT.format(source="(SELECT *, date_trunc('minute', happened_at) AS minute FROM flow_event)")


def one_of_each(story: Story) -> list[Record]:
    whose = story.whose(1)
    return [
        story.reception(1, rcpts=2),
        story.rejection(0),
        story.delivery(1),
        Deferral(**story.attempt(1, 0, 2, 1), due_at=START),
        Expiration(**story.attempt(1, 0, 3, 1)),
        Held(**story.stamp(), **whose, decision_id="mw1-d1"),
        Released(**story.stamp(), **whose, decision_id="mw1-d1", author="admin"),
        DecisionLogged(
            **story.stamp(),
            decision_id="mw1-d1",
            author="relay",
            account="acme",
            sender=whose["sender"],
            effect="hold",
            rule="spam",
            reason="9 of 12",
            evidence={"spam": 9, "words": ["a", "b"]},
            starts_at=START,
        ),
        Complaint(**story.stamp(), message_id="mw1.1", reported_at=START),
        AuthFailure(**story.stamp(), client_ip="192.0.2.7", login_hash="x", mechanism="PLAIN"),
        Listing(**story.stamp(), address="192.0.2.1", zone="z.example", status="clean", checked_at=START),
        AlarmRaised(**story.stamp(), condition="no_sender_id", account="acme", text="20 of 20", evidence={"seen": 20}),
        Inbound(**story.stamp(), **whose, recipient_id=1, recipient="x@d.example", client_ip="192.0.2.8", size_bytes=9),
        Unsubscribe(
            **story.stamp(),
            message_id="mw1.1",
            account="acme",
            recipient="a@x.example",
            method="page",
            client_ip="192.0.2.7",
        ),
    ]


def test_every_kind_of_record_reaches_its_table(room: Room) -> None:
    room.bring(*one_of_each(Story()))

    assert room.rows(COUNTS) == [(1, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1)]
    ((features, trace, reasons),) = room.rows("SELECT f_text_words, trace, reasons FROM message")
    assert (features, trace, reasons) == (
        90,
        '[["limit",false,"12 of 200"],["content",true,"score 0.02"]]',
        ["few links"],
    )


def test_records_written_twice_are_ingested_once(room: Room) -> None:
    records = one_of_each(Story())

    room.bring(*records, *records)
    room.bring(*records, name="relay-mw1-b-00000001")

    assert room.rows(COUNTS) == [(1, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1)]
    assert room.rows(ROLLED) == room.rows(SINGLE)


def test_outcome_written_again_after_a_crash_with_a_new_stamp_is_dropped(room: Room) -> None:
    room.bring(Story().reception(1), Story().delivery(1))

    room.bring(Story(boot="later").delivery(1), name="relay-mw1-later-00000001")

    assert room.rows("SELECT outcome, boot FROM recipient") == [("delivered", "20261124T090000Z-1")]
    assert room.value("SELECT sum(delivered)::BIGINT FROM rollup_minute") == 1


def test_outcome_that_comes_before_its_reception_is_kept(room: Room) -> None:
    story = Story()
    reception = story.reception(1)

    room.bring(story.delivery(1), name="relay-mw1-a-00000002")
    assert room.value("SELECT count(*) FROM recipient") == 1
    room.bring(reception, name="relay-mw1-a-00000003")

    assert room.rows("SELECT message_id, status FROM message") == [("mw1.1", "delivered")]


@pytest.mark.parametrize(
    ("status", "what"),
    [
        ("accepted", lambda s: []),
        ("deferred", lambda s: [Deferral(**s.attempt(1, 0, 1), due_at=START)]),
        ("accepted", lambda s: [s.delivery(1)]),
        ("delivered", lambda s: [s.delivery(1), s.delivery(1, index=1)]),
        ("partly delivered", lambda s: [s.delivery(1), s.bounce(1, index=1)]),
        ("bounced", lambda s: [s.bounce(1), s.bounce(1, index=1)]),
        ("expired", lambda s: [Expiration(**s.attempt(1, 0, 1)), Expiration(**s.attempt(1, 0, 1, 1))]),
        ("held", lambda s: [s.delivery(1), Held(**s.stamp(5), **s.whose(1), decision_id="d")]),
        ("released", lambda s: [Held(**s.stamp(5), **s.whose(1), decision_id="d"), released(s, 6)]),
        ("held", lambda s: [released(s, 6), Held(**s.stamp(7), **s.whose(1), decision_id="d")]),
        ("dropped", lambda s: [s.delivery(1), Dropped(**s.stamp(9), **s.whose(1), author="admin", reason="spam")]),
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["one file", "a file each"])
def test_status_follows_what_happened(
    room: Room, status: str, what: Callable[[Story], list[Record]], together: bool
) -> None:
    story = Story()
    records = [story.reception(1, rcpts=2), *what(story)]

    if together:
        room.bring(*records)
    else:
        for number, record in enumerate(reversed(records)):  # the worst order
            room.bring(record, name=f"relay-mw1-a-{number:08d}")

    assert room.rows("SELECT status FROM message") == [(status,)]


def released(story: Story, seconds: float) -> Released:
    return Released(**story.stamp(seconds), **story.whose(1), decision_id="d", author="admin")


def test_recipients_of_a_dropped_message_are_dropped_but_not_the_delivered_one(room: Room) -> None:
    story = Story()

    room.bring(
        story.reception(1, rcpts=3, action=Action.HOLD),
        story.delivery(1),
        Dropped(**story.stamp(60), **story.whose(1), author="admin", reason="spam"),
    )

    assert room.rows("SELECT recipient_id, outcome FROM recipient ORDER BY 1") == [
        (1, "delivered"),
        (2, "dropped"),
        (3, "dropped"),
    ]


def test_complaint_is_attributed_when_its_message_comes_later(room: Room) -> None:
    story = Story()
    complaint = Complaint(**story.stamp(), message_id="mw1.1", provider="post.example", reported_at=START)

    room.bring(complaint, name="analytics-mw1-a-00000001")
    assert room.value("SELECT coalesce(sum(complaints), 0)::BIGINT FROM rollup_minute") == 0
    room.bring(story.reception(1), story.delivery(1, source="192.0.2.9"))

    assert room.rows("SELECT account, sender FROM complaint") == [("acme", "acme|mailfrom|news@acme.example")]
    assert room.rows("SELECT sender, sum(complaints)::BIGINT FROM rollup_minute GROUP BY ALL") == [
        ("acme|mailfrom|news@acme.example", 1)
    ]


@pytest.mark.parametrize(
    "broken",
    [
        b'{"kind":"Rece\n',
        b"[1, 2]\n",
        b'{"some":"thing"}\n',
        b'{"kind":"Unheard","node":"mw1","boot":"b","seq":1,"logged_at":"2026-11-24T09:00:00Z"}\n',
        b"\xff\xfe\x00\n",
        b'{"kind":"AuthFailure","node":"mw1","boot":"b","seq":"x","logged_at":"2026-11-24T09:00:00Z"}\n',
    ],
)
def test_broken_line_is_set_aside_and_everything_else_ingested(room: Room, broken: bytes) -> None:
    story = Story()
    before = write(room.folder.path, "relay-mw1-a-00000001", [story.reception(1)])
    damaged = write(room.folder.path, "relay-mw1-a-00000002", [story.reception(2), story.reception(3)])
    lines = damaged.read_bytes().splitlines(keepends=True)
    content = lines[0] + broken + lines[1]
    damaged.write_bytes(content)
    after = write(room.folder.path, "relay-mw1-a-00000003", [story.reception(4)])

    result = room.ingest.run()

    assert result.corrupt == [damaged.name]
    assert room.rows("SELECT message_id FROM message ORDER BY 1") == [("mw1.1",), ("mw1.2",), ("mw1.3",), ("mw1.4",)]
    assert room.rows("SELECT name, line FROM corrupt_file") == [(damaged.name, 2)]
    assert (room.folder.aside / damaged.name).read_bytes() == content
    assert not before.exists()
    assert not after.exists()
    assert b"".join(path.read_bytes() for path in room.folder.archived()).count(b"\n") == 4


def test_empty_file_is_no_damage(room: Room) -> None:
    room.bring()

    assert room.rows("SELECT rows FROM ingested_file") == [(0,)]
    assert room.folder.closed() == []


def test_mistake_of_ours_sets_nothing_aside_and_loses_nothing(room: Room) -> None:
    room.warehouse.write(lambda c: c.execute("ALTER TABLE message RENAME TO gone")).result()
    path = write(room.folder.path, "relay-mw1-a-00000001", [Story().reception(1)])

    with pytest.raises(duckdb.CatalogException):
        room.ingest.run()
    assert path.exists()
    room.warehouse.write(lambda c: c.execute("ALTER TABLE gone RENAME TO message")).result()
    room.ingest.run()

    assert room.value("SELECT count(*) FROM message") == 1


def test_file_left_by_a_crash_after_its_commit_is_only_put_away(room: Room) -> None:
    records = one_of_each(Story())
    room.bring(*records)

    write(room.folder.path, "relay-mw1-a-00000001", records)
    result = room.ingest.run()

    assert result.rows == 0
    assert room.folder.closed() == []
    assert room.rows(COUNTS) == [(1, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 1)]


def test_archive_torn_by_a_crash_is_cut_to_whole_lines(room: Room) -> None:
    story = Story()
    room.bring(story.reception(1))
    (archive,) = room.folder.archived()
    with archive.open("ab") as file:
        file.write(encode(story.reception(2))[:100])

    room.bring(story.reception(2), name="relay-mw1-a-00000002")

    lines = b"".join(path.read_bytes() for path in room.folder.archived()).splitlines()
    assert [b'"message_id":"mw1.%d"' % number in line for number, line in enumerate(lines, 1)] == [True, True]


def test_open_file_is_left_alone(room: Room) -> None:
    path = write(room.folder.path, "relay-mw1-a-00000001", [Story().reception(1)])
    still_open = path.rename(path.with_name(path.name + ".open"))

    room.ingest.run()

    assert still_open.exists()
    assert room.value("SELECT count(*) FROM message") == 0


def test_rollup_equals_the_events_it_was_made_of_also_after_merging(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analytics.ingesting.rollups._WORTH_MERGING", 1)
    monkeypatch.setattr("analytics.ingesting.rollups._AT_ONCE", 10)  # a run takes few minutes, so several are needed
    records = list(traffic(600, hours=0.05, senders=4))
    for number in range(0, len(records), 100):
        room.bring(*records[number : number + 100], name=f"relay-mw1-a-{number:08d}")
    expected = sorted(room.rows(SINGLE))
    assert sorted(room.rows(ROLLED)) == expected
    assert sorted(room.rows(BY_HOUR)) == sorted(room.rows(HOURS_OF_MINUTES))
    assert sorted(room.rows(BY_SOURCE)) == sorted(room.rows(SOURCES_OF_MINUTES))
    rows = room.value(ROWS)

    saved = 0
    while room.value("SELECT count(*) FROM rollup_minute WHERE NOT is_merged"):
        saved += merge(room.warehouse)

    assert sorted(room.rows(ROLLED)) == expected
    assert sorted(room.rows(BY_HOUR)) == sorted(room.rows(HOURS_OF_MINUTES))
    assert sorted(room.rows(BY_SOURCE)) == sorted(room.rows(SOURCES_OF_MINUTES))
    assert room.value(ROWS) == rows - saved
    assert room.value("SELECT count(*) FROM rollup_hour WHERE NOT is_merged") == 0
    assert saved > 0
    assert merge(room.warehouse) == 0


def test_second_reader_of_the_same_files_finds_them_gone(room: Room, tmp_path: Path) -> None:
    room.bring(Story().reception(1))

    again = Ingest(room.warehouse, room.folder, Policy()).run()

    assert (again.files, again.rows) == (0, 0)
