"""Bands of addresses by destination go to the relay when they change, and are renewed before they end."""

import asyncio
from datetime import timedelta
from pathlib import Path

from analytics.reputation.bands import BandPublisher
from analytics.reputation.parts import refresh
from analytics.reputation.run import compute_parts
from relay.control.client import ControlClient
from relay.control.egress.calls import EgressCalls
from relay.control.egress.views import NewSource
from relay.settings import Policy
from tests.analytics.conftest import Room as WarehouseRoom
from tests.analytics.records import Story
from tests.analytics.test_reputation_parts import ABUSER, HONEST, NOW, mail
from tests.relay.test_control_api import Room, with_room


def test_poor_address_is_told_to_the_relay_once_and_renewed(tmp_path: Path, room: WarehouseRoom) -> None:
    story, asked = Story(), list[int]()
    room.bring(
        *mail(story, HONEST, range(1, 400), 0.01, source="127.0.0.3", destination="google"),
        *mail(story, ABUSER, range(1000, 1100), 0.97, source="127.0.0.2", destination="google"),
    )
    refresh(room.warehouse, Policy(), NOW)
    compute_parts(room.warehouse, NOW)

    async def work(relay: Room) -> None:
        def client() -> ControlClient:
            asked.append(1)
            return relay.client("operator-token")

        for name, address in (("ip1", "127.0.0.2"), ("ip2", "127.0.0.3")):
            new = NewSource(name=name, address=address)
            await relay.ask(lambda one, new=new: EgressCalls(one).add_source(new))
        publisher = BandPublisher(room.warehouse, client)
        at = relay.clock.now()
        sent = []
        for minutes in (0, 5, 59, 61):
            await asyncio.to_thread(publisher.publish, at + timedelta(minutes=minutes))
            sent.append(len(asked))

        view = await relay.ask(lambda one: EgressCalls(one).bands())
        assert sent == [1, 1, 1, 2]
        assert view.low == {"ip1": ["google (bad)"]}
        assert view.version == int((at + timedelta(minutes=61)).timestamp() * 1000)

    (tmp_path / "relay").mkdir()
    with_room(tmp_path / "relay", work)


def test_nothing_is_sent_while_nobody_is_poor(room: WarehouseRoom) -> None:
    def nobody() -> ControlClient:
        raise AssertionError("there is nothing to say")

    assert BandPublisher(room.warehouse, nobody).publish(NOW) == 0
