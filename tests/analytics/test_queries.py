"""The named questions: what they answer, to whom, and how they refuse."""

import random
import threading
from collections.abc import Iterator
from datetime import timedelta
from statistics import quantiles
from typing import Any

import pytest

from analytics.queries.named import QUERIES
from analytics.serving.ask import (
    GivenUp,
    OutOfScope,
    Stop,
    TooLong,
    Unanswerable,
    UnknownQuery,
    ask,
    ask_freely,
    bounded,
    span_seconds,
)
from relay.events import Action, Complaint, DecisionLogged, Deferral, Held, Record
from relay.tree import Scope
from tests.analytics.conftest import Room, opened_room
from tests.analytics.records import START, Story, traffic

NOW = START + timedelta(hours=1)
SENDER = "acme|mailfrom|news@acme.example"
OTHER = "beta|x-authuser|bob@beta.example"
# What the dashboard reads, see each query's SQL.
COLUMNS = {
    "tiles": "accepted held refused delivered bounced complaints p50_delay_seconds p95_delay_seconds prev_accepted "
    "prev_held prev_refused prev_delivered prev_bounced prev_complaints prev_p50_delay_seconds prev_p95_delay_seconds",
    "flow": "bucket_at accepted held refused delivered",
    "delay": "bucket_at p50_seconds p95_seconds delivered",
    "senders": "sender account messages held refused delivered bounced complaints mean_score last_at score band",
    "sender_summary": "sender first_at last_at messages held refused delivered bounced complaints scripts score low "
    "high band n points_json",
    "sender_flow": "bucket_at accepted held refused delivered mean_score",
    "sender_messages": "message_id received_at action rule score mail_from recipients subject script outcome text",
    "reputation": "computed_at score low high band n points_json",
    "destinations": "destination delivered deferred bounced p95_seconds last_text",
    "jobs": (
        "job last_started_at last_seconds last_status last_error next_run_at last_success_at failures every_seconds"
    ),
    "ingest": "files rows corrupt_files last_at behind_files",
    "corrupt": "file reason set_aside_at",
    "listings": "address zone status answer checked_at entity_kind confirmed since_at codes",
    "alarms": "logged_at condition account text subject first_at times",
    "hours_of_week": "dow hour messages",
    "reputations": "entity_kind entity account score low high band n computed_at points_json",
    "reputation_signals": "entity_kind account signal points share score_before score_after bad seen rate low high "
    "half_life_seconds",
    "reputation_heat": "address destination score low high band n points_json",
    "culprits": "sender account probability mails spam complaints traps strangers until_at",
    "ip_events": "kind address place blames first_at last_at times text",
}
NEEDED = {"domain": "firm.example", "address": "192.0.2.9", "sender": SENDER, "message_id": "mw1.1", "entity": SENDER}
NEEDED |= {"fingerprint": "0123456789abcdef-0123456789abcdef0123456789abcdef"}
DESTINATION = {name: {"destination": "google"} for name in ("destination_delays", "destination_pace")}


def needed(name: str) -> dict[str, Any]:
    named = {key: value for key, value in NEEDED.items() if key in QUERIES[name].params}
    return named | DESTINATION.get(name, {})


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with opened_room(tmp_path_factory.mktemp("empty")) as room:
        yield room


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """An hour: acme had one message delivered, one bounced, one parked and one refused; beta one delivered late."""
    with opened_room(tmp_path_factory.mktemp("told")) as room:
        room.bring(*_hour())
        yield room


def _hour() -> list[Record]:
    story = Story()
    return [
        story.reception(1, 0, rcpts=2, script="/var/www/form.php"),
        story.delivery(1, 0, 2),
        story.bounce(1, 0, 3, 1),
        story.reception(11, 600, action=Action.HOLD, score=0.95),
        story.reception(21, 900),
        Deferral(**story.attempt(21, 900, 5, text="try later"), due_at=START),
        Held(**story.stamp(960), **story.whose(21), decision_id="mw1-d1"),
        story.rejection(0, 1000, score=0.999),
        story.reception(31, 1200, sender=OTHER, reseller="isp"),
        story.delivery(31, 1200, 300, sender=OTHER, reseller="isp", destination="slow.example"),
        Complaint(**story.stamp(1800), message_id="mw1.1", reported_at=START + timedelta(minutes=30)),
        DecisionLogged(
            **story.stamp(960),
            decision_id="mw1-d1",
            author="relay",
            account="acme",
            sender=SENDER,
            effect="hold",
            rule="spam",
            reason="why",
            evidence={"n": 3},
            starts_at=START + timedelta(minutes=16),
        ),
        DecisionLogged(
            **story.stamp(2000),
            decision_id="mw1-d2",
            author="admin",
            account="acme",
            sender=SENDER,
            effect="release",
            rule="manual",
            reason="fine",
            starts_at=START + timedelta(minutes=33),
            supersedes="mw1-d1",
        ),
    ]


def rows(room: Room, name: str, scope: Scope | None = None, **params: Any) -> list[dict[str, Any]]:
    params = {"since": START.isoformat()} | needed(name) | params
    answer: list[dict[str, Any]] = ask(room.warehouse, name, params, scope or Scope(), NOW).to_pylist()
    return answer


@pytest.mark.parametrize("name", QUERIES)
def test_every_question_is_answered_by_an_empty_warehouse(empty: Room, name: str) -> None:
    table = ask(empty.warehouse, name, {"since": START.isoformat()} | needed(name), Scope(), NOW)

    assert set(COLUMNS.get(name, "").split()) - set(table.column_names) == set()


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_those_the_pages_read(told: Room, name: str) -> None:
    table = ask(told.warehouse, name, {"since": START.isoformat()} | needed(name), Scope(), NOW)

    assert COLUMNS[name].split() == table.column_names
    assert not [field for field in table.schema if str(field.type).startswith("decimal")]


def test_tiles_count_the_window_and_the_one_before(told: Room) -> None:
    (now,) = rows(told, "tiles")
    later = START + timedelta(minutes=30)
    (half,) = rows(told, "tiles", since=later.isoformat())

    assert (now["accepted"], now["held"], now["refused"], now["delivered"], now["bounced"]) == (3, 2, 1, 2, 1)
    assert now["complaints"] == 1
    assert now["p50_delay_seconds"] == pytest.approx(151)
    assert (half["accepted"], half["complaints"]) == (0, 1)
    assert (half["prev_accepted"], half["prev_held"], half["prev_refused"], half["prev_delivered"]) == (3, 2, 1, 2)


@pytest.mark.parametrize("bucket_seconds", [10, 60, 300, 3600])
def test_flow_has_every_bucket_and_every_message(told: Room, bucket_seconds: int) -> None:
    flow = rows(told, "flow", bucket_seconds=bucket_seconds)

    assert len(flow) == 3600 // bucket_seconds + 1
    assert [sum(row[key] for row in flow) for key in ("accepted", "held", "refused", "delivered")] == [3, 2, 1, 2]
    assert flow[0]["bucket_at"] == START


def test_delay_of_the_others_leaves_one_sender_out(told: Room) -> None:
    everybody = rows(told, "delay", bucket_seconds=3600)
    others = rows(told, "delay", bucket_seconds=3600, exclude_sender=OTHER)

    assert (everybody[0]["delivered"], others[0]["delivered"], others[0]["p95_seconds"]) == (2, 1, 2.0)


def test_senders_are_listed_busiest_first_and_found_by_a_part_of_the_name(told: Room) -> None:
    assert [row["sender"] for row in rows(told, "senders")] == [SENDER, OTHER]
    assert [row["sender"] for row in rows(told, "senders", search="BOB@")] == [OTHER]
    assert len(rows(told, "senders", limit=1)) == 1


def test_sender_is_summed_up(told: Room) -> None:
    (summary,) = rows(told, "sender_summary")

    assert (summary["messages"], summary["held"], summary["refused"], summary["delivered"]) == (4, 2, 1, 1)
    assert (summary["scripts"], summary["band"], summary["n"]) == (["/var/www/form.php"], "unknown", 0)
    assert summary["first_at"] == START


def test_messages_of_a_sender_say_what_became_of_them(told: Room) -> None:
    messages = rows(told, "sender_messages")

    assert [(row["outcome"], row["text"]) for row in messages] == [
        ("refused", "550 5.7.1 [SS] refused"),
        ("held", "250 try later"),
        ("held", ""),
        ("partly delivered", "550 5.1.1 no such user"),
    ]


def test_message_tells_its_whole_story(told: Room) -> None:
    (message,) = rows(told, "message")

    assert '"outcome":"bounced"' in message["recipients"]
    assert '"outcome":"delivered"' in message["recipients"]
    assert message["trace"].startswith('[["limit"')
    assert '"provider":""' in message["complaints"]
    assert rows(told, "message", message_id="mw1.999") == []


def test_decision_names_the_one_that_ended_it(told: Room) -> None:
    decisions = {row["decision_id"]: row for row in rows(told, "decisions")}

    assert decisions["mw1-d1"]["superseded_by"] == "mw1-d2"
    assert decisions["mw1-d2"]["superseded_by"] is None


def test_destination_shows_its_last_complaint_about_us(told: Room) -> None:
    found = {row["destination"]: row for row in rows(told, "destinations")}

    assert found["post.example"]["last_text"] == "try later"
    assert (found["post.example"]["deferred"], found["post.example"]["bounced"]) == (1, 1)
    assert found["slow.example"]["p95_seconds"] == 300


@pytest.mark.parametrize("scope", [Scope(reseller="isp"), Scope(account="beta")], ids=["reseller", "account"])
def test_scope_hides_everybody_else(told: Room, scope: Scope) -> None:
    (tiles,) = rows(told, "tiles", scope)

    assert (tiles["accepted"], tiles["held"], tiles["refused"], tiles["complaints"]) == (1, 0, 0, 0)
    assert [row["sender"] for row in rows(told, "senders", scope)] == [OTHER]
    assert sum(row["accepted"] for row in rows(told, "flow", scope, bucket_seconds=10)) == 1
    assert sum(row["delivered"] for row in rows(told, "delay", scope)) == 1
    assert rows(told, "sender_messages", scope, sender=SENDER) == []
    assert rows(told, "sender_summary", scope, sender=SENDER)[0]["messages"] == 0
    assert rows(told, "sender_summary", scope, sender=SENDER)[0]["first_at"] is None
    assert rows(told, "message", scope) == []
    assert rows(told, "decisions", scope) == []
    assert [row["destination"] for row in rows(told, "destinations", scope)] == ["slow.example"]


@pytest.mark.parametrize("name", QUERIES)
def test_question_without_a_scope_is_not_for_a_part_of_the_tree(told: Room, name: str) -> None:
    if "{scope}" in QUERIES[name].sql:
        return

    with pytest.raises(OutOfScope):
        rows(told, name, Scope(account="acme"))


def test_account_narrows_within_the_scope_and_never_widens_it(told: Room) -> None:
    (acme,) = rows(told, "tiles", account="acme")
    (foreign,) = rows(told, "tiles", Scope(account="beta"), account="acme")

    assert acme["accepted"] == 2
    assert foreign["accepted"] == 0


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("nothing", {}, "there are: tiles"),
        ("tiles", {"sinse": "x"}, "it knows: since, account"),
        ("tiles", {"since": "yesterday"}, "not an instant"),
        ("tiles", {"account": 7}, "not a text"),
        ("senders", {"limit": 0}, "whole number above 0"),
        ("senders", {"limit": 1_000_000}, "more than"),
        ("sender_flow", {"sender": ""}, "needs the parameter sender"),
        ("flow", {"since": "2020-01-01T00:00:00Z", "bucket_seconds": 60}, "buckets"),
    ],
)
def test_wrong_question_is_refused_in_words(empty: Room, name: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(Unanswerable, match=words):
        ask(empty.warehouse, name, params, Scope(), NOW)


def test_unknown_question_is_told_apart(empty: Room) -> None:
    with pytest.raises(UnknownQuery):
        ask(empty.warehouse, "nothing", {}, Scope(), NOW)
    with pytest.raises(UnknownQuery):  # asked first, so that what is remembered is about questions there are
        span_seconds("no_such_question", {}, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "DELETE FROM message",
        "SELECT 1; SELECT 2",
        "WITH gone AS (DELETE FROM message RETURNING message_id) SELECT * FROM gone",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY message TO '/tmp/x.csv'",
        "SET memory_limit = '1TB'",
        "SELEC",
        "",
    ],
)
def test_free_question_that_is_not_one_reading_select_is_refused(told: Room, text: str) -> None:
    before = told.value("SELECT count(*) FROM message")

    with pytest.raises(Unanswerable):
        ask_freely(told.warehouse, text, Scope())

    assert told.value("SELECT count(*) FROM message") == before


@pytest.mark.parametrize("options", ["", " (FORMAT json)", " (PER_THREAD_OUTPUT)"])
@pytest.mark.parametrize("rest", ["SELECT * FROM x", "SELECT 1 WHERE false"])
def test_free_question_writes_no_file_where_the_journals_are(told: Room, options: str, rest: str) -> None:
    before = {path: path.read_bytes() for path in told.folder.path.rglob("*.json*")}
    target = told.folder.path / "relay-forged.jsonl"

    with pytest.raises(Unanswerable, match="only reads"):
        ask_freely(told.warehouse, f"WITH x AS (COPY (SELECT 1 AS a) TO '{target}'{options}) {rest}", Scope())

    assert {path: path.read_bytes() for path in told.folder.path.rglob("*.json*")} == before


def test_free_question_runs_no_sql_in_a_connection_without_its_bounds(told: Room) -> None:
    deletes = "WITH x AS (DELETE FROM message RETURNING message_id) SELECT count(*) AS n FROM x"
    before = told.value("SELECT count(*) FROM message")

    with pytest.raises(Unanswerable, match="only reads"):
        ask_freely(
            told.warehouse, f"SELECT * FROM json_execute_serialized_sql(json_serialize_sql('{deletes}'))", Scope()
        )

    assert told.value("SELECT count(*) FROM message") == before > 0


def test_what_is_wrong_with_a_free_question_is_said_of_the_words_that_were_asked(told: Room) -> None:
    with pytest.raises(Unanswerable) as wrong:
        ask_freely(told.warehouse, "SELECT outcom FROM recipient", Scope())

    *_, line, mark = str(wrong.value).rstrip().split("\n")
    assert line == "LINE 1: SELECT outcom FROM recipient"
    assert mark.index("^") == line.index("outcom")


def test_free_question_may_speak_of_copies_and_deletions(told: Room) -> None:
    found = ask_freely(told.warehouse, "SELECT 'COPY' AS \"DELETE\", count(*) AS n FROM message", Scope())

    assert found.to_pylist() == [{"DELETE": "COPY", "n": 4}]


def test_free_question_is_answered_and_cut_at_the_row_cap(told: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.serving.ask.MAX_ROWS", 10)

    short = ask_freely(told.warehouse, "SELECT count(*) AS n FROM message -- all", Scope())
    long = ask_freely(told.warehouse, "SELECT * FROM range(11)", Scope())

    assert short.to_pylist() == [{"n": 4}]
    assert short.schema.metadata is None
    assert (long.num_rows, long.schema.metadata) == (10, {b"truncated": b"10"})


def test_long_answer_to_a_named_question_is_cut_and_says_so(told: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.serving.ask.MAX_ROWS", 3)

    answer = ask(told.warehouse, "flow", {"since": START.isoformat()}, Scope(), NOW)

    assert (answer.num_rows, answer.schema.metadata) == (3, {b"truncated": b"3"})
    assert answer["bucket_at"][0].as_py() == START  # the first ones, in their order


def test_answer_of_too_many_bytes_is_refused(told: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.serving.ask.MAX_BYTES", 1_000_000)

    with pytest.raises(Unanswerable, match="fewer columns or rows"):
        ask_freely(told.warehouse, "SELECT repeat('x', 1000) AS x FROM range(10000)", Scope())

    assert ask_freely(told.warehouse, "SELECT repeat('x', 100) AS x FROM range(1000)", Scope()).num_rows == 1000


def test_delays_in_the_tiles_are_those_of_all_deliveries_to_one_in_a_hundred(room: Room) -> None:
    story, chance = Story(), random.Random(3)
    delays = sorted(chance.lognormvariate(1, 2) for _ in range(999))
    room.bring(*(story.delivery(number, 0, seconds) for number, seconds in enumerate(delays, 1)))

    (tiles,) = ask(room.warehouse, "tiles", {}, Scope(), START + timedelta(hours=20)).to_pylist()

    assert tiles["p50_delay_seconds"] == pytest.approx(delays[499], rel=0.01)
    assert tiles["p95_delay_seconds"] == pytest.approx(quantiles(delays, n=20, method="inclusive")[18], rel=0.015)
    assert tiles["prev_p50_delay_seconds"] is None


def test_question_nobody_waits_for_is_given_up(told: Room) -> None:
    early, late = Stop(), Stop()
    early.set()
    timer = threading.Timer(0.3, late.set)
    timer.start()

    with pytest.raises(GivenUp, match="before it was begun"):
        ask(told.warehouse, "tiles", {}, Scope(), NOW, stop=early)
    with pytest.raises(GivenUp, match="nobody waits"):
        ask_freely(
            told.warehouse, "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a = b", Scope(), late
        )

    timer.join()
    assert ask_freely(told.warehouse, "SELECT 1 AS n", Scope()).to_pylist() == [{"n": 1}]


def test_a_stop_between_two_statements_ends_the_next(told: Room) -> None:
    stop = Stop()

    def ask_after_the_stop() -> None:
        with told.warehouse.cursor() as cursor, bounded(cursor, stop, 10):
            stop.set()
            cursor.execute("SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a = b").fetchall()

    with pytest.raises(GivenUp, match="nobody waits"):
        ask_after_the_stop()


def test_free_question_is_only_for_who_sees_everything(told: Room) -> None:
    with pytest.raises(OutOfScope):
        ask_freely(told.warehouse, "SELECT 1", Scope(account="acme"))


def test_endless_question_is_given_up(told: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analytics.serving.ask.MAX_SECONDS", 0.2)

    with pytest.raises(TooLong, match="given up"):
        ask_freely(told.warehouse, "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a = b", Scope())

    assert ask_freely(told.warehouse, "SELECT 1 AS n", Scope()).to_pylist() == [{"n": 1}]


@pytest.mark.parametrize("minutes", [15, 45, 125, 200, 300])
def test_what_is_counted_by_the_hour_is_what_is_counted_by_the_minute(room: Room, minutes: int) -> None:
    """Windows that begin, and whose windows before begin, in the middle of an hour."""
    room.bring(*traffic(2_000, hours=8, senders=5))
    now = START + timedelta(hours=8, minutes=10)
    since = now - timedelta(minutes=minutes)
    counted = """
SELECT coalesce(sum(accepted), 0)::BIGINT, coalesce(sum(delivered), 0)::BIGINT
FROM rollup_minute
WHERE minute >= $begins AND minute < $ends
"""

    (tiles,) = ask(room.warehouse, "tiles", {"since": since.isoformat()}, Scope(), now).to_pylist()
    senders = ask(room.warehouse, "senders", {"since": since.isoformat()}, Scope(), now).to_pylist()
    flow = ask(room.warehouse, "flow", {"since": START.isoformat(), "bucket_seconds": 7_200}, Scope(), now).to_pylist()

    ((accepted, delivered),) = room.rows(counted, begins=since, ends=now)
    assert accepted > 0
    assert (tiles["accepted"], tiles["delivered"]) == (accepted, delivered)
    assert sum(row["delivered"] for row in senders) == delivered
    before = room.rows(counted, begins=since - timedelta(minutes=minutes), ends=since)
    assert [(tiles["prev_accepted"], tiles["prev_delivered"])] == before
    ((accepted, _),) = room.rows(counted, begins=START, ends=now)
    assert sum(row["accepted"] for row in flow) == accepted
