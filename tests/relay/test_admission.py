"""Room at every level: reserved at RCPT over real sockets, settled at DATA, given back when nothing comes of it."""

import asyncio
import smtplib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from relay.account import Account
from relay.clock import Clock, SteppedClock, SystemClock
from relay.envelope import Submission
from relay.front.identity import identify
from relay.policy.decisions.decision import Standing, State
from relay.policy.limits.claims import refusal
from relay.policy.limits.ledger import Ledger
from relay.policy.limits.levels import Level, LimitSet
from relay.reception.admission import Gate
from relay.reply import RelayError, Reply, TransientError
from relay.settings import Limits
from relay.tree import SenderId
from tests.relay.test_session import ANYWHERE, Place, connect, opened

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ACME = Account("acme", reseller="host1", shared_host=True, created_at=NOON - timedelta(days=30))
BOB, EVE = SenderId("acme", "x-authuser", "bob"), SenderId("acme", "x-authuser", "eve")
Sets = Mapping[tuple[Level, str], LimitSet]


def gate(sets: Sets | None = None, *, clock: Clock | None = None, new: bool = False, **more: Any) -> Gate:
    states: Callable[[str], State] = more.pop("state_of", lambda _: State(Standing.OK))
    return Gate(
        settings=Limits(**more),
        clock=clock or SteppedClock(NOON),
        ledger=Ledger(),
        sets={} if sets is None else sets,
        state_of=states,
        is_newcomer=lambda _sender, _now: new,
        age_of=lambda _sender, _now: 30 * 86_400.0,
        key=b"secret",
    )


def mail(count: int = 1, *, account: Account = ACME, mail_from: str = "a@acme.example", start: int = 0) -> Submission:
    recipients = tuple(f"r{number}@d.example" for number in range(start, start + count))
    return Submission(account, "srv1", "192.0.2.1", "host", "", "smtp", mail_from, recipients, b"", NOON)


def settled(at: Gate, submission: Submission, sender: SenderId = BOB) -> str:
    """What became of a message: now, later, or whose limit refused it."""
    use = at.settle(submission, sender, at.clock.unix()).use
    if use.is_allowed:
        return "now" if use.due_unix is None else "later"
    return f"{use.whose} {use.name}"


def test_a_sender_has_200_an_hour_and_what_is_beyond_waits() -> None:
    place = gate()

    assert [settled(place, mail(100)) for _ in range(3)] == ["now", "now", "later"]


def test_beyond_the_band_it_is_refused_and_other_senders_are_not() -> None:
    place = gate()
    outcomes = [settled(place, mail(100)) for _ in range(7)]

    assert outcomes == ["now"] * 2 + ["later"] * 4 + ["sender acme|x-authuser|bob rcpts_per_hour"]
    assert settled(place, mail(100), EVE) == "now"


@pytest.mark.parametrize(
    ("key", "whose"),
    [
        ((Level.RESELLER, "host1"), "reseller host1"),
        ((Level.ACCOUNT, "acme"), "account acme"),
        ((Level.DOMAIN, "acme|acme.example"), "domain acme|acme.example"),
        ((Level.DOMAINS, "acme"), "domain acme|acme.example"),
    ],
)
def test_a_wider_level_refuses_at_once_whoever_the_sender_is(key: tuple[Level, str], whose: str) -> None:
    place = gate({key: LimitSet(rcpts_per_hour=3)})
    assert settled(place, mail(2)) == "now"

    assert settled(place, mail(2), EVE) == f"{whose} rcpts_per_hour"
    assert settled(place, mail(1), EVE) == "now"


def test_a_narrower_set_says_what_it_says_and_inherits_the_rest() -> None:
    place = gate({
        (Level.SENDERS, "acme"): LimitSet(rcpts_per_hour=5, messages_per_hour=7),
        (Level.SENDER, BOB.key): LimitSet(rcpts_per_hour=50, rcpts_per_day=0),
    })  # fmt: skip

    assert place.base(ACME, BOB.key, is_new=False) == LimitSet(50, 0, 500, None, 7)
    assert place.base(ACME, EVE.key, is_new=False) == LimitSet(5, 1000, 500, None, 7)


def test_a_set_that_changes_counts_from_the_next_message_on() -> None:
    sets: dict[tuple[Level, str], LimitSet] = {}
    place = gate(sets)
    place.settle(mail(1), BOB, place.clock.unix())

    sets[Level.ACCOUNT, "acme"] = LimitSet(rcpts_per_message=1)

    assert settled(place, mail(2)) == "account acme rcpts_per_message"


def test_an_account_that_may_more_in_the_hour_may_more_in_the_day_too() -> None:
    more, less = (gate({(Level.SENDERS, "acme"): LimitSet(rcpts_per_hour=limit)}) for limit in (400, 10))

    assert more.base(ACME, BOB.key, is_new=False) == LimitSet(400, 2000, 1000, None, 0)
    assert less.base(ACME, BOB.key, is_new=False) == LimitSet(10, 1000, 500, None, 0)


def test_a_new_sender_has_fewer_different_recipients() -> None:
    assert settled(gate(new=True), mail(101)) == f"sender {BOB.key} unique_rcpts_per_hour"
    assert settled(gate(new=False), mail(101)) == "now"


def test_inventing_names_buys_nothing() -> None:
    place = gate(new=True)

    outcomes = [settled(place, mail(50), SenderId("acme", "x-authuser", f"name{n}")) for n in range(13)]

    assert outcomes == ["now"] * 4 + ["later"] * 8 + ["new senders of account acme rcpts_per_hour"]


def test_a_new_sender_over_its_own_limit_makes_no_other_new_sender_wait() -> None:
    place = gate({(Level.SENDERS, "acme"): LimitSet(rcpts_per_hour=5)}, new=True)
    flood = [settled(place, mail(), BOB) for _ in range(100)]

    assert flood == ["now"] * 5 + ["later"] * 95
    assert [settled(place, mail(), EVE) for _ in range(5)] == ["now"] * 5


def test_newcomers_of_a_new_account_have_twenty_times_the_room() -> None:
    place = gate(new=True)
    for account in (replace(ACME, created_at=None), replace(ACME, created_at=NOON - timedelta(hours=23))):
        names = [SenderId("acme", "x-authuser", f"{account.created_at}{n}") for n in range(20)]
        assert [settled(place, mail(100, account=account), name) for name in names] == ["now"] * 20


def test_the_multiplier_of_reputation_is_in_the_refusal() -> None:
    place = gate(state_of=lambda _: State(Standing.OK, multiplier=0.1))
    use = place.settle(mail(30), BOB, place.clock.unix()).use

    assert "limit=20, used=0, asked=30, base=200 x 0.1" in refusal(use).text
    assert "split it" in refusal(use).text


def test_a_recipient_without_room_at_a_wider_level_is_refused_and_those_before_it_stand() -> None:
    place = gate({(Level.ACCOUNT, "acme"): LimitSet(rcpts_per_hour=2)})
    one, other = place.admit(mail(0)), place.admit(mail(0))
    one.add("a@d.example")
    other.add("b@d.example")

    with pytest.raises(TransientError) as refused:
        one.add("c@d.example")

    assert refused.value.reply.code == 451
    assert settled(place, replace(mail(1), admission=one)) == "now"
    other.close()
    assert settled(place, mail(1)) == "now"
    assert settled(place, mail(1)) == "account acme rcpts_per_hour"


def test_unique_recipients_of_an_account_are_looked_at_before_the_content() -> None:
    place = gate({(Level.ACCOUNT, "acme"): LimitSet(unique_rcpts_per_hour=2)})
    admission = place.admit(mail(0))
    admission.add("a@d.example")
    admission.add("b@d.example")

    with pytest.raises(TransientError) as refused:
        admission.add("c@d.example")

    assert "unique_rcpts_per_hour: limit=2" in refused.value.reply.text


def test_too_many_recipients_for_one_message_are_sent_apart() -> None:
    place = gate({(Level.SENDERS, "acme"): LimitSet(rcpts_per_message=1)})
    admission = place.admit(mail(0))
    admission.add("a@d.example")

    with pytest.raises(TransientError) as refused:
        admission.add("b@d.example")

    assert str(refused.value.reply).startswith("452 4.5.3 [RATE] each sender of account acme over rcpts_per_message")


def test_a_sender_known_before_its_content_is_refused_at_rcpt_when_its_band_is_full() -> None:
    place, account = gate(), replace(ACME, shared_host=False)
    sender = identify(mail(account=account), b"").sender
    for _ in range(6):
        assert settled(place, mail(100, account=account), sender) in ("now", "later")
    place.admit(mail(0, account=account)).add("a@d.example")  # nobody was refused yet
    settled(place, mail(1, account=account), sender)

    with pytest.raises(TransientError):
        place.admit(mail(0, account=account)).add("a@d.example")

    place.admit(mail(0)).add("a@d.example")  # behind a shared server it may be anybody


def test_refused_content_costs_its_sender_and_nobody_else() -> None:
    place = gate({(Level.ACCOUNT, "acme"): LimitSet(rcpts_per_hour=100)})

    place.give_back(place.settle(mail(100), BOB, place.clock.unix()), is_abuse=True)

    assert settled(place, mail(100), EVE) == "now"
    place.give_back(place.settle(mail(100), BOB, place.clock.unix()), is_abuse=False)
    assert place.settle(mail(0), BOB, place.clock.unix()).hour_used == 100


# ---- over real sockets ----


def run(tmp_path: Path, place: Gate, client: Callable[[Place], Any]) -> Any:
    """A door that admits and settles with `place`."""

    async def receive(submission: Submission) -> Reply:
        taking = place.settle(submission, BOB, place.clock.unix())
        await asyncio.sleep(0)
        if not taking.use.is_allowed:
            raise RelayError(refusal(taking.use))
        return Reply(250, "2.0.0", "queued")

    async def story() -> Any:
        async with opened(tmp_path) as door:
            door.doors._way = replace(door.doors._way, admit=place.admit, receive=receive)
            await door.doors.open(ANYWHERE)
            door.port = door.doors.ports[-1]
            return await asyncio.to_thread(client, door)

    return asyncio.run(story())


def limited(limit: int) -> Gate:
    return gate({(Level.ACCOUNT, "acme"): LimitSet(rcpts_per_hour=limit)}, clock=SystemClock())


def test_parallel_sessions_cannot_overrun_a_limit(tmp_path: Path) -> None:
    def session(door: Place) -> int:
        taken = 0
        with connect(door) as smtp:
            for number in range(3):
                smtp.mail("a@acme.example")
                taken_here = sum(smtp.rcpt(f"r{number}.{n}@d.example")[0] == 250 for n in range(3))
                if taken_here and smtp.data(b"Subject: x\r\n\r\nx\r\n")[0] == 250:
                    taken += taken_here
                smtp.rset()
        return taken

    def client(door: Place) -> int:
        with ThreadPoolExecutor(6) as pool:
            return sum(pool.map(session, [door] * 6))

    assert run(tmp_path, limited(17), client) == 17


def test_what_was_reserved_is_free_after_rset_and_after_a_broken_connection(tmp_path: Path) -> None:
    place = limited(1)

    def client(door: Place) -> list[int]:
        codes = []
        with connect(door) as smtp, connect(door) as other:
            for session in (smtp, other):
                session.mail("a@acme.example")
                codes.append(session.rcpt("x@d.example")[0])
            smtp.rset()
            codes.append(other.rcpt("x@d.example")[0])
            _break(other)
        with connect(door) as smtp:
            smtp.mail("a@acme.example")
            codes.append(smtp.rcpt("x@d.example")[0])
        return codes

    assert run(tmp_path, place, client) == [250, 451, 250, 250]


def _break(smtp: smtplib.SMTP) -> None:
    assert smtp.sock is not None
    smtp.sock.close()
    smtp.close()
