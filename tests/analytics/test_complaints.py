"""A complaint reaches the relay with the way its mail took, so that a new address warms up by what its mail earns."""

import asyncio
from pathlib import Path

from analytics.complaints import Complaints, NewComplaint
from relay.control.egress.calls import EgressCalls
from relay.control.egress.views import NewSource
from relay.spool.journal import Journal
from tests.analytics.conftest import Room as WarehouseRoom
from tests.analytics.records import Story
from tests.relay.test_control_api import Room, with_room

SENDER = "acme|mailfrom|news@acme.example"


def test_complaint_about_mail_of_a_warming_address_counts_in_its_plan(tmp_path: Path, room: WarehouseRoom) -> None:
    story = Story()
    way = {"source": "127.0.0.2", "destination": "google"}
    room.bring(story.reception(1), story.delivery(1, **way), story.reception(2), story.delivery(2, source="127.0.0.9"))

    async def work(relay: Room) -> None:
        new = NewSource(name="ip1", address="127.0.0.2", is_warming=True)
        await relay.ask(lambda client: EgressCalls(client).add_source(new))
        journal = Journal(tmp_path / "told", "analytics", "mw1", relay.clock)
        complaints = Complaints(room.warehouse, journal, relay.clock, lambda: relay.client("operator-token"))

        for number in (1, 2, 1):
            taken = await asyncio.to_thread(complaints.take, NewComplaint(message_id=f"mw1.{number}"))
            assert (taken.sender, taken.relay_told) == (SENDER, True)

        plans = (await relay.ask(lambda client: EgressCalls(client).warmup("ip1"))).plans
        assert {plan.provider: plan.complaints for plan in plans if plan.complaints} == {"google": 2}

    (tmp_path / "relay").mkdir()
    with_room(tmp_path / "relay", work)
