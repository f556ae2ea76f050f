"""What came back suppresses: 30 days, 180, for good; never for what is no fault of the address."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench import forged
from relay.control.errors import Forbidden
from relay.control.suppression.suppressed import Blocked, Reason
from relay.delivery.headers import feedback_line, reference
from relay.events import Bounce, Suppressed
from relay.evidence.rule import Evidence, row_after
from relay.evidence.views import Claim, ClaimOrder, ReturnedMail, ReturnedOrder
from relay.settings import Suppression
from relay.tree import Principal, Role, Scope
from tests.delivering import eventually, story
from tests.relay.test_inbox import DOMAIN, journaled, path_of, send, sink, started
from tests.sink import Sink

__all__ = ["sink"]

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RULE = Suppression()
ANALYTICS = Principal("analytics", Role.OPERATOR)
HARD = Evidence("shop", "X@d.example", Reason.HARD_BOUNCE, "mw1.7", "5.1.1", "no such user", is_hard=True)
COMPLAINED = Evidence("shop", "x@d.example", Reason.COMPLAINT, "mw1.7")


def days(evidence: Evidence, known: Blocked | None, rule: Suppression = RULE) -> int | str:
    """For how many days the address is suppressed anew; "kept" when nothing changes."""
    row = row_after(evidence, known, rule, NOW)
    if row is None:
        return "kept"
    return 0 if row.ends_at is None else (row.ends_at - NOW).days


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (None, 30),
        (Blocked(Reason.HARD_BOUNCE, NOW + 30 * DAY), "kept"),  # the same news again
        (Blocked(Reason.HARD_BOUNCE, NOW + 29.5 * DAY), "kept"),
        (Blocked(Reason.HARD_BOUNCE, NOW + 28 * DAY), 180),
        (Blocked(Reason.HARD_BOUNCE, NOW - DAY), 180),
        (Blocked(Reason.HARD_BOUNCE, NOW + 100 * DAY), "kept"),
        (Blocked(Reason.COMPLAINT, None), "kept"),
        (Blocked(Reason.UNSUBSCRIBE, None), "kept"),
        (Blocked(Reason.BY_HAND, NOW + DAY), "kept"),
        (Blocked(Reason.BY_HAND, NOW - DAY), 30),
    ],
)
def test_a_hard_bounce_suppresses_for_30_days_and_a_second_one_for_180(
    known: Blocked | None, expected: int | str
) -> None:
    assert days(HARD, known) == expected


def test_what_is_no_fault_of_the_address_never_suppresses() -> None:
    others = [
        Evidence("shop", "x@d.example", Reason.HARD_BOUNCE, "mw1.7", "5.7.1", "blocked", is_hard=True),
        Evidence("shop", "x@d.example", Reason.HARD_BOUNCE, "mw1.7", "5.1.1", "what?", is_hard=False),
        Evidence("shop", "x@d.example", Reason.BY_HAND, "mw1.7", "5.1.1", "", is_hard=True),
    ]

    assert [days(one, None) for one in others] == ["kept"] * 3
    assert days(HARD, None, Suppression(hard_bounces=False)) == "kept"


def test_a_complaint_suppresses_until_somebody_removes_it() -> None:
    over = Blocked(Reason.HARD_BOUNCE, NOW + 30 * DAY)

    assert days(COMPLAINED, None) == 0
    assert days(COMPLAINED, over) == 0
    assert days(COMPLAINED, Blocked(Reason.UNSUBSCRIBE, None)) == "kept"


@story
async def test_an_address_that_is_gone_is_refused_after_its_first_bounce(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        await send(parts, "reject-550-5.1.1+a@d.example", "reject-554-5.7.1+b@d.example")
        await eventually(lambda: len(journaled(tmp_path, Bounce)) == 2, 20)
        hard = [one.recipient for one in journaled(tmp_path, Bounce) if one.is_hard]
        await eventually(lambda: parts.core.state.suppression.find("shop", hard[0]))
        found = parts.core.state.suppression
        blocked = found.find("shop", "reject-554-5.7.1+b@d.example")
        elsewhere = found.find("hosting", hard[0])
        await eventually(lambda: journaled(tmp_path, Suppressed))
    (record,) = journaled(tmp_path, Suppressed)
    assert hard == ["reject-550-5.1.1+a@d.example"]
    assert (blocked, elsewhere) == (None, None)
    assert (record.account, record.recipient, record.reason) == ("shop", hard[0], "hard_bounce")
    assert record.ends_at is not None
    assert 29 <= (record.ends_at - record.logged_at).days <= 30


@story
async def test_proofs_are_given_for_what_this_relay_made_and_for_nothing_else(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        path = await path_of(parts, sink)
        secret, desk = parts.core.secret, parts.evidence
        sender = "shop|mailfrom|shop@shop.example"
        token = reference(secret, "mw1.1", "shop", sender)
        altered = token[:-2] + ("AA" if token[-2:] != "AA" else "BA")
        line = feedback_line(secret, "", "shop", sender, "mailweir").decode().partition(":")[2].strip()
        of = {"message_id": "mw1.1", "account": "shop", "sender": sender}

        found = desk.prove(
            ANALYTICS,
            ClaimOrder(
                claims=[
                    Claim(kind="return_path", value=path),
                    Claim(kind="reference", value=token, **of),
                    Claim(kind="feedback_id", value=line, **of),
                    Claim(kind="return_path", value=f"b+{'a' * 56}@{DOMAIN}"),
                    Claim(kind="reference", value=token, **(of | {"sender": "shop|mailfrom|other@shop.example"})),
                    Claim(kind="reference", value=token, **(of | {"message_id": "mw1.2"})),
                    Claim(kind="reference", value=altered, **of),
                    Claim(kind="feedback_id", value=line, **(of | {"sender": "shop|mailfrom|other@shop.example"})),
                    Claim(kind="feedback_id", value="\u00e9:x", **of),
                ]
            ),
        )
        with pytest.raises(Forbidden):
            desk.prove(Principal("someone", Role.OPERATOR, Scope(account="shop")), ClaimOrder(claims=[]))
        with pytest.raises(Forbidden):
            await desk.take(Principal("someone", Role.ABUSE), ReturnedOrder(rows=[]))
    assert [one.is_genuine for one in found] == [True] * 3 + [False] * 6
    assert (found[0].recipient, found[0].account, found[0].sender) == ("x@d.example", "shop", sender)


@story
async def test_a_complaint_told_twice_is_suppressed_once_and_refused_at_rcpt(tmp_path: Path, sink: Sink) -> None:
    async with started(tmp_path, sink) as parts:
        order = ReturnedOrder(
            rows=[ReturnedMail(account="shop", address="X@d.example", reason="complaint", message_id="mw1.1")]
        )

        first = await parts.evidence.take(ANALYTICS, order)
        again = await parts.evidence.take(ANALYTICS, order)

        unknown = await parts.evidence.take(
            ANALYTICS,
            ReturnedOrder(
                rows=[ReturnedMail(account="nobody", address="x@d.example", reason="complaint", message_id="")]
            ),
        )
        with pytest.raises(Exception, match="SUP"):
            await send(parts, "x@d.example")
    assert (first.suppressed, again.suppressed, unknown.suppressed) == (1, 0, 0)
    assert [record.reason for record in journaled(tmp_path, Suppressed)] == ["complaint"]


@story
async def test_no_forged_claim_is_believed_and_every_genuine_one_is(tmp_path: Path) -> None:
    figures = await forged.play(3_000, tmp_path)

    assert (figures["believed"], figures["known"]) == (0, figures["genuine"])
