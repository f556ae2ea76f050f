"""The questions behind the pages about delivery, bounces and complaints."""

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from analytics.serving.ask import OutOfScope, ask
from relay.events import Complaint, DecisionLogged, Deferral
from relay.tree import Scope
from tests.analytics.conftest import Room
from tests.analytics.records import START, Story

EVERYTHING = Scope()
NOW = START + timedelta(hours=1)
BAD, GOOD = "acme|mailfrom|bad@acme.example", "beta|mailfrom|good@beta.example"
BLOCKED = {"code": 550, "enhanced": "5.7.1", "category": "ReputationBlock", "is_hard": False}


def asked(room: Room, name: str, scope: Scope = EVERYTHING, **params: Any) -> pd.DataFrame:
    since = (START - timedelta(minutes=1)).isoformat()
    return ask(room.warehouse, name, {"since": since, **params}, scope, NOW).to_pandas()


def deferral(story: Story, number: int, text: str, **other: Any) -> Deferral:
    tried = story.attempt(number, 0, 1, text=text, code=451, enhanced="4.7.0", category="RateLimited", **other)
    return Deferral(**tried, due_at=NOW)


@pytest.fixture
def told(room: Room) -> Room:
    """acme is slow at google and was held meanwhile, beta is quick; replies differ in an id only."""
    story = Story()
    room.bring(
        story.reception(1, 0, sender=BAD, fingerprint="f1", subject="Win"),
        story.reception(2, 0, sender=GOOD),
        deferral(story, 1, "[TSS04] 192.0.2.1 deferred, ref a1b2", sender=BAD, destination="google"),
        deferral(story, 1, "[TSS04] 192.0.2.9 deferred, ref c3d4", sender=BAD, destination="google"),
        story.delivery(1, 0, 900, sender=BAD, destination="google"),
        story.delivery(2, 0, 2, sender=GOOD, destination="google"),
        story.bounce(3, 0, 3, sender=GOOD, destination="google", category="InvalidRecipient"),
        story.bounce(4, 0, 3, sender=GOOD, destination="tiny.example", text="blocked 17", **BLOCKED),
        story.bounce(5, 0, 3, sender=GOOD, destination="tiny.example", text="odd", is_hard=False, enhanced="5.0.0"),
        story.delivery(6, 0, 3, sender=GOOD, destination="silent.example"),
        DecisionLogged(
            **story.stamp(5),
            decision_id="mw1-d1",
            author="relay",
            account="acme",
            sender=BAD,
            effect="hold",
            rule="spam_rate",
            reason="spam",
            starts_at=START,
        ),
        Complaint(
            **story.stamp(6), message_id="mw1.1", account="acme", sender=BAD, provider="google", reported_at=START
        ),
        Complaint(
            **story.stamp(7),
            message_id="mw1.1",
            account="acme",
            sender=BAD,
            feedback_type="not-spam",
            reported_at=START,
        ),
    )
    return room


def test_a_destination_is_counted_by_tries_and_the_innocent_wait_apart(told: Room) -> None:
    google = asked(told, "destination_figures").set_index("destination").loc["google"]

    assert (google["tries"], google["delivered"], google["deferred"], google["bounced"]) == (5, 2, 2, 1)
    assert google["blocked"] == 0
    assert google["innocent_p95_seconds"] == 2
    assert google["p95_seconds"] > 2
    assert asked(told, "destination_figures").set_index("destination").loc["tiny.example", "blocked"] == 1


def test_delays_are_told_for_stopped_senders_and_for_everybody_else(told: Room) -> None:
    frame = asked(told, "destination_delays", destination="google")

    assert frame.groupby("who")["seconds"].max().to_dict() == {"innocent": 2.0, "stopped": 900.0}
    assert frame["share"].dtype == "float64"


def test_the_pace_of_a_destination_is_that_of_senders_that_were_not_stopped(told: Room) -> None:
    pace = asked(told, "destination_pace", destination="google", bucket_seconds=86_400)

    assert (pace["delivered"].sum(), pace["p95_seconds"].max()) == (1, 2.0)
    assert asked(told, "destination_pace", destination="nowhere.example", bucket_seconds=86_400).empty


def test_replies_that_differ_in_an_id_are_one_cause_and_its_tries_are_found_again(told: Room) -> None:
    replies = asked(told, "replies", destination="google", outcome="deferred")

    (cause,) = replies.itertuples()
    assert (cause.times, cause.senders, cause.category) == (2, 1, "RateLimited")
    assert "192.0.2.1" not in cause.pattern
    assert "deferred" in cause.pattern
    tries = asked(told, "tries", destination="google", pattern=cause.pattern, outcome="failed")
    assert len(tries) == 2
    assert asked(told, "tries", destination="google", pattern="something else").empty


def test_bounces_are_grouped_by_what_was_asked_and_what_has_no_class_is_counted(told: Room) -> None:
    totals = asked(told, "bounce_totals").iloc[0]
    domains = asked(told, "bounce_groups", by="domain").set_index("name")
    accounts = asked(told, "bounce_groups", by="account").set_index("name")
    classes = asked(told, "bounce_classes", bucket_seconds=3600)

    assert (totals["ended"], totals["bounced"], totals["hard"], totals["unclassified"]) == (6, 3, 1, 1)
    assert domains.loc["post.example", "bounced"] == 3
    assert list(accounts.index) == ["beta"]  # nothing of acme's failed
    assert classes.set_index("category")["recipients"].to_dict() == {
        "InvalidRecipient": 1,
        "ReputationBlock": 1,
        "Unclassified": 1,
    }


def test_complaints_have_both_denominators_and_not_spam_is_none(told: Room) -> None:
    (sender,) = asked(told, "complaint_senders").itertuples()
    (day,) = asked(told, "complaint_days").itertuples()
    (campaign,) = asked(told, "complaint_campaigns").itertuples()

    assert (sender.sender, sender.complaints, sender.delivered, sender.reached) == (BAD, 1, 1, 1)
    assert (day.complaints, day.delivered, day.reached) == (1, 3, 2)  # silent.example never reports
    assert (campaign.subject, campaign.complaints, campaign.delivered) == ("Win", 1, 1)
    assert len(asked(told, "complaints")) == 2


def test_an_account_sees_its_own_part_and_not_what_leaves_our_addresses(told: Room) -> None:
    beta = Scope(account="beta")

    assert asked(told, "destination_figures", beta).set_index("destination").loc["google", "delivered"] == 1
    assert asked(told, "complaint_senders", beta).empty
    assert set(asked(told, "tries", beta)["account"]) == {"beta"}
    with pytest.raises(OutOfScope):
        asked(told, "source_days", beta)
