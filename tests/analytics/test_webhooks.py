"""Webhooks: what is called, how it is signed, when it is tried again, and what a restart remembers."""

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from analytics.ingesting.ingest import Ingest
from analytics.ingesting.journals import JournalFolder
from analytics.warehouse import Warehouse
from analytics.webhooks.caller import Caller
from analytics.webhooks.outbox import RETRY_MINUTES, WAITING_MAX, Call, Event, Made, Outbox
from analytics.webhooks.payload import Message, payload
from analytics.webhooks.sending import is_allowed
from relay.clock import SteppedClock
from relay.control.client import ControlError
from relay.control.webhooks.views import NewWebhook, WebhookAdded, WebhookKey, WebhookRemoval
from relay.events import AlarmRaised, DecisionLogged, Record, WebhookCall
from relay.settings import Policy, Webhooks
from relay.spool.journal import Journal
from tests.analytics.desk import client, control
from tests.analytics.receiver import Receiver
from tests.analytics.records import Story, write
from tests.builders import free_port, until

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
JOE = "acme|x-authuser|joe"
SECRET = "s3cret"
LOOPBACK = Webhooks.model_validate({"private_networks": ["127.0.0.0/8"], "timeout_seconds": 2})


def endpoint(url: str = "https://hooks.example/x", name: str = "wh1", **more: Any) -> WebhookKey:
    given = {"account": "", "conditions": [], "created_at": NOON, "secret": SECRET}
    return WebhookKey(id=name, url=url, **{**given, **more})


def event(number: int = 1, minutes: float = 0, **more: Any) -> Event:
    given: dict[str, Any] = {
        "condition": "sender_id_sending_spam",
        "text": "6 of 6",
        "account": "acme",
        "reseller": "",
        "sender": JOE,
        "decision_id": f"mw1-d{number}",
    }
    return Event(f"mw1-d{number}", NOON + timedelta(minutes=minutes), **{**given, **more})


def outbox(*endpoints: WebhookKey, minutes: float = 60) -> Outbox:
    box = Outbox(minutes * 60)
    box.listen(endpoints or [endpoint()])
    return box


def due(box: Outbox, minutes: float) -> list[Call]:
    return list(box.due((NOON + timedelta(minutes=minutes)).timestamp()))


def test_a_failed_call_is_tried_again_after_2_3_6_10_15_minutes_and_then_given_up() -> None:
    box, now, tries = outbox(), 0.0, []
    box.hear(event())
    while calls := due(box, now):
        is_final = box.done(calls[0], (NOON + timedelta(minutes=now)).timestamp(), is_delivered=False)
        tries.append((calls[0].attempt, now))
        if is_final:
            break
        wait = RETRY_MINUTES[len(tries) - 1]
        assert due(box, now + wait - 0.1) == []
        now += wait

    assert tries == [(1, 0), (2, 2), (3, 5), (4, 11), (5, 21), (6, 36)]
    assert due(box, 1_000) == []


def test_a_delivered_call_is_not_repeated() -> None:
    box = outbox()
    box.hear(event())
    [call] = due(box, 0)

    assert box.done(call, NOON.timestamp(), is_delivered=True)
    assert due(box, 1_000) == []


def test_the_same_condition_and_sender_is_told_once_an_interval_and_the_log_says_so() -> None:
    box = outbox()

    silent = [
        bool(box.hear(one))
        for one in (
            event(1),
            event(2, 30),
            event(3, 30, sender="acme|x-authuser|ann"),
            event(4, 30, condition="sender_id_blocklisted"),
            event(5, 61),
        )
    ]

    assert silent == [False, True, False, False, False]
    assert box.hear(event(6, 62))[0].why.startswith("the same was told at 13:01:00 UTC")


def test_an_endpoint_hears_of_its_account_its_conditions_and_of_nothing_before_it_was_added() -> None:
    mine, others = endpoint(name="mine", account="acme"), endpoint(name="others", account="else")
    spam, rest = (
        endpoint(name="spam", conditions=["sender_id_sending_spam"]),
        endpoint(name="rest", conditions=["disk"]),
    )
    late = endpoint(name="late", created_at=NOON + timedelta(hours=1))
    box = outbox(mine, others, spam, rest, late)

    box.hear(event())

    assert [call.endpoint.id for call in due(box, 0)] == ["mine", "spam"]


def test_what_waits_for_an_endpoint_is_bounded_and_another_endpoint_does_not_notice() -> None:
    box = outbox(endpoint(name="dead"), endpoint(name="well"))
    for number in range(WAITING_MAX):
        box.hear(event(number, sender=f"acme|x-authuser|{number}"))
        for call in due(box, 0):
            if call.endpoint.id == "well":
                box.done(call, NOON.timestamp(), is_delivered=True)

    silences = box.hear(event(WAITING_MAX + 1, sender="acme|x-authuser|next"))
    silences += box.hear(event(WAITING_MAX + 2, sender="acme|x-authuser|after"))
    silences += box.hear(event(WAITING_MAX + 3, sender="acme|x-authuser|last"))

    assert {silence.call.endpoint.id for silence in silences} == {"dead"}
    assert [call.endpoint.id for call in due(box, 0)] == ["well", "well"]


def test_after_a_restart_the_log_of_calls_says_what_is_still_to_be_called() -> None:
    at = NOON.timestamp()
    made = [
        Made("wh1", "mw1-d1", 1, at, True),
        Made("wh1", "mw1-d2", 0, at, True),
        Made("wh1", "mw1-d3", 1, at, False),
        Made("wh1", "mw1-d3", 2, at + 120, False),
    ]
    box = outbox()
    senders = [JOE, JOE, "acme|x-authuser|ann", JOE, "acme|x-authuser|tom"]

    heard = [box.hear(event(number, number, sender=sender), made) for number, sender in enumerate(senders, 1)]

    assert [[silence.why[:20] for silence in one] for one in heard] == [[], [], [], ["the same was told at"], []]
    assert [(call.event.id, call.attempt) for call in due(box, 4.9)] == []
    assert [(call.event.id, call.attempt) for call in due(box, 5.1)] == [("mw1-d3", 3), ("mw1-d5", 1)]


def test_a_call_carries_the_names_that_receivers_know() -> None:
    message = Message(ip="192.0.2.1", transaction_id="mw1.9", envelope_sender="joe@a.example", message_id="<1@a>")
    body = msgspec.json.decode(payload(event(evidence='{"seen": 6}'), message, "https://m.example/r/x"))

    assert list(body)[:11] == [
        "condition_name",
        "condition_description",
        "account_id",
        "timestamp",
        "originator",
        "originator_type",
        "sender_id",
        "ip",
        "transaction_id",
        "envelope_sender",
        "message_id",
    ]
    assert body["condition_name"] == "sender_id_sending_spam"
    assert (body["originator"], body["originator_type"], body["sender_id"]) == ("joe", "x-authuser", JOE)
    assert body["timestamp"] == "2026-11-24T12:00:00Z"
    assert (body["decision_id"], body["evidence"]) == ("mw1-d1", {"seen": 6})
    assert body["release_url"] == "https://m.example/r/x"


@dataclasses.dataclass
class Room:
    """A warehouse with its journal folder, and the caller over it. `url`: where the control API answers."""

    folder: Path
    clock: SteppedClock
    url: str
    settings: Webhooks = LOOPBACK

    def __post_init__(self) -> None:
        self.story, self.files = Story(start=NOON), count(1)

    def add(self, url: str, **more: Any) -> WebhookAdded:
        with client(self.url) as relay:
            return relay.add_webhook(NewWebhook(url=url, **more))

    @contextmanager
    def running(self) -> Iterator["Room"]:
        journals = self.folder / "journal"
        self.warehouse = Warehouse.open(self.folder / "warehouse.duckdb", journals)
        self.journal = Journal(journals, "analytics", "mw1", self.clock)
        self.journal.start()
        self.caller = Caller(self.warehouse, self.journal, self.clock, self.settings, lambda: client(self.url))
        self.caller.start()
        try:
            yield self
        finally:
            self.caller.close()
            self.journal.close()
            self.warehouse.close()

    def ingest(self, *records: Record) -> None:
        if records:
            write(self.folder / "journal", f"relay-mw1-a-{next(self.files):08}", records)
        Ingest(self.warehouse, JournalFolder(self.folder / "journal"), Policy()).run()
        self.caller.wake()

    def decision(self, number: int = 1, **more: Any) -> DecisionLogged:
        given: dict[str, Any] = {
            "author": "relay",
            "account": "acme",
            "sender": JOE,
            "effect": "hold",
            "rule": "spam_rate",
            "reason": "6 of 6 were spam",
            "evidence": {"seen": 6, "messages": ["mw1.1", "mw1.2"]},
            "starts_at": self.clock.now(),
            "ends_at": self.clock.now() + timedelta(hours=24),
        }
        stamp = self.story.stamp() | {"logged_at": self.clock.now()}
        return DecisionLogged(**stamp, decision_id=f"mw1-d{number}", **{**given, **more})

    def calls(self) -> list[dict[str, Any]]:
        """The log as the warehouse has it."""
        Ingest(self.warehouse, JournalFolder(self.folder / "journal"), Policy()).run()
        return self.warehouse.table("SELECT * FROM webhook_call ORDER BY logged_at, seq").to_pylist()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    (tmp_path / "journal").mkdir()
    clock = SteppedClock(NOON + timedelta(minutes=1))
    with control(tmp_path, clock) as url:
        yield Room(tmp_path, clock, url)


def test_a_decision_is_told_signed_and_logged(room: Room) -> None:
    with Receiver() as receiver:
        added = room.add(receiver.url)
        with room.running():
            sent = room.story.reception(
                2, sender=JOE, header_message_id="<2@acme.example>", received_at=room.clock.now()
            )
            room.ingest(sent, room.decision())
            until(lambda: receiver.calls)
            until(room.calls)

            [row] = room.calls()
        [body] = receiver.calls
        assert receiver.is_signed(added.secret)
        assert not receiver.is_signed("another")
    assert (body["condition_name"], body["sender_id"], body["decision_id"]) == ("sender_id_sending_spam", JOE, "mw1-d1")
    assert (body["transaction_id"], body["message_id"]) == ("mw1.2", "<2@acme.example>")
    assert (body["ip"], body["envelope_sender"]) == ("192.0.2.1", "news@acme.example")
    assert (row["code"], row["attempt"], row["is_delivered"], row["is_final"]) == (204, 1, True, True)


def test_a_release_of_a_stopped_sender_and_an_alarm_are_told_and_a_limit_is_not(room: Room) -> None:
    with Receiver() as receiver:
        room.add(receiver.url)
        stamp = room.story.stamp() | {"logged_at": room.clock.now()}
        alarm = AlarmRaised(**stamp, condition="no_sender_id", account="acme", text="20 of 20", evidence={"seen": 20})
        with room.running():
            room.ingest(
                room.decision(),
                room.decision(2, effect="multiply", value=0.5),
                room.decision(3, effect="release", supersedes="mw1-d1", ends_at=None),
                room.decision(4, effect="release", supersedes="mw1-d2", ends_at=None),
                alarm,
            )
            until(lambda: len(receiver.calls) == 3)
            room.ingest()

        names = sorted(call["condition_name"] for call in receiver.calls)
    assert names == ["ip_no_sender_id", "sender_id_released", "sender_id_sending_spam"]


def test_a_failing_endpoint_is_tried_again_on_time_and_the_log_says_how_it_went(room: Room) -> None:
    with Receiver(status=500) as receiver:
        room.add(receiver.url)
        with room.running():
            room.ingest(room.decision())
            for number, minutes in enumerate(RETRY_MINUTES, 1):
                until(lambda number=number: len(room.calls()) == number)  # type: ignore[misc]
                room.clock.advance(minutes * 60)
            until(lambda: len(room.calls()) == 6)
            room.clock.advance(86_400)

            rows = room.calls()
        assert len(receiver.calls) == 6
    assert [row["attempt"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["is_final"] for row in rows] == [False] * 5 + [True]
    assert {(row["code"], row["error"], row["is_delivered"]) for row in rows} == {(500, "answered 500", False)}


def test_a_dead_endpoint_holds_up_no_other(room: Room) -> None:
    with Receiver() as dead, Receiver() as well:
        dead.gate.clear()
        room.add(dead.url)
        room.add(well.url)
        with room.running():
            room.ingest(*(room.decision(number, sender=f"acme|x-authuser|{number}") for number in range(1, 9)))
            until(lambda: len(well.calls) == 8)

            assert dead.calls == []
            dead.gate.set()


def test_a_redirect_is_no_delivery_and_is_not_followed(room: Room) -> None:
    with Receiver(status=302) as receiver:
        room.add(receiver.url)
        with room.running():
            room.ingest(room.decision())
            until(room.calls)

            assert [(row["code"], row["is_delivered"]) for row in room.calls()] == [(302, False)]
        assert len(receiver.calls) == 1


def test_an_address_that_is_not_public_is_not_called_unless_a_setting_allows_it(room: Room) -> None:
    with Receiver() as receiver:
        room.settings = Webhooks()
        room.add(receiver.url)
        room.add(receiver.url.replace("127.0.0.1", "localhost"))
        with room.running():
            room.ingest(room.decision())
            until(lambda: len(room.calls()) == 2)

            assert all("webhooks.private_networks" in row["error"] for row in room.calls())
            assert not any("ValueError" in row["error"] for row in room.calls())
        assert receiver.calls == []


@pytest.mark.parametrize("address", ["::127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "fec0::1"])
def test_an_ipv6_address_that_leads_inside_is_not_public_but_may_be_allowed(address: str) -> None:
    assert not is_allowed(address, [])
    assert is_allowed(address, [ip_network("::/0"), ip_network("0.0.0.0/0")])


def test_a_restart_repeats_nothing_and_goes_on_with_what_was_not_delivered(room: Room) -> None:
    with Receiver() as well, Receiver(status=503) as failing:
        names = {room.add(well.url).webhook.id: "well", room.add(failing.url).webhook.id: "failing"}
        with room.running():
            room.ingest(room.decision(), room.decision(2))  # the second within the interval
            until(lambda: len(room.calls()) == 4)
        failing.status = 204
        room.clock.advance(1)  # a boot is named by its second
        with room.running():
            room.ingest()
            room.clock.advance(125)
            until(lambda: len(failing.calls) == 2)
            until(lambda: len(room.calls()) == 5)
            room.ingest()

            rows = room.calls()
        assert len(well.calls) == 1
    assert [(names[row["webhook"]], row["attempt"]) for row in rows if row["is_delivered"]] == [
        ("well", 1),
        ("failing", 2),
    ]
    assert sum(row["attempt"] == 0 and row["error"].startswith("the same was told") for row in rows) == 2


def test_what_happens_while_analytics_or_the_relay_is_down_is_told_afterwards(room: Room) -> None:
    with Receiver() as receiver:
        room.add(receiver.url)
        up, room.url = room.url, f"http://127.0.0.1:{free_port()}"
        with room.running():
            room.ingest(room.decision())
        room.clock.advance(3_600)
        with room.running():
            room.ingest()
            until(lambda: room.caller._has_news)
            assert receiver.calls == []
            room.url = up
            until(lambda: receiver.calls)

        assert [call["decision_id"] for call in receiver.calls] == ["mw1-d1"]


def test_an_endpoint_added_later_is_called_for_what_happens_then(room: Room) -> None:
    with Receiver() as receiver:
        with room.running():
            room.ingest(room.decision())
            room.clock.advance(60)
            room.add(receiver.url)
            room.clock.advance(1)
            room.ingest(room.decision(2))
            until(lambda: receiver.calls)

        assert [call["decision_id"] for call in receiver.calls] == ["mw1-d2"]


def test_calls_are_records_that_every_field_of_which_is_kept(room: Room) -> None:
    with Receiver() as receiver:
        room.add(receiver.url)
        with room.running():
            room.ingest(room.decision())
            until(room.calls)

            [row] = room.calls()
    assert set(row) == {field.name for field in msgspec.structs.fields(WebhookCall)} - {"schema"}


def test_an_endpoint_that_was_removed_is_not_called_again(room: Room) -> None:
    with Receiver(status=500) as receiver:
        added = room.add(receiver.url)
        with room.running():
            room.ingest(room.decision())
            until(room.calls)
            with client(room.url) as relay:
                removed = relay.remove_webhook(added.webhook.id)
                assert relay.webhooks() == []
            room.clock.advance(3_600)
            until(lambda: not room.caller._outbox.waiting)

        assert len(receiver.calls) == 1
    assert removed.undo == f"mailweir webhook add {receiver.url} --global"


def test_a_dry_run_changes_nothing_and_the_secret_is_shown_once(room: Room) -> None:
    with client(room.url) as relay:
        dry = relay.add_webhook(NewWebhook(url="https://a.example/x", dry_run=True))
        added = relay.add_webhook(NewWebhook(url="https://a.example/x", account="acme", conditions=["disk"]))
        kept = relay.remove_webhook(added.webhook.id, WebhookRemoval(dry_run=True))

        assert dry.secret == ""
        assert len(added.secret) >= 40
        assert kept.dry_run
        assert relay.webhooks() == [added.webhook]
        assert [key.secret for key in relay.webhook_keys()] == [added.secret]


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (NewWebhook(url="ftp://a.example/x"), "https://"),
        (NewWebhook(url="https:///x"), "https://"),
        (NewWebhook(url="https://a.example:99999/"), "https://"),
        (NewWebhook(url="https://u:p@a.example/"), "without a login"),
        (NewWebhook(url="https://a.example/\r\nX: y"), "https://"),
        (NewWebhook(url="https://a.example/", conditions=["spam"]), "sender_id_sending_spam"),
        (NewWebhook(url="https://a.example/", account="nobody"), "no account"),
    ],
)
def test_an_endpoint_that_makes_no_sense_is_refused_with_the_fix(room: Room, new: NewWebhook, words: str) -> None:
    with client(room.url) as relay, pytest.raises(ControlError, match=re.escape(words)):
        relay.add_webhook(new)
