"""A principal that sees a part of the tree steers only the mail of that part."""

from pathlib import Path

import pytest

from relay.control.accounts.views import NewAccount
from relay.control.errors import Forbidden, NotFound
from relay.control.waiting.views import PauseOrder, QueueOrder
from relay.tree import Principal, Role, Scope
from tests.relay.test_control_api import Room, with_room

ISP = Principal("isp", Role.OPERATOR, Scope(reseller="isp"))
SITE = Principal("site", Role.OPERATOR, Scope(account="site"))
ADMIN = Principal("admin", Role.ADMIN)


def test_others_mail_is_neither_seen_nor_touched(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.ask(lambda client: client.add_account(NewAccount(name="site", reseller="isp")))
        message = await room.put()
        queue = room.commands.queue

        assert len((await queue.list(ADMIN, QueueOrder(), 10)).recipients) == 2
        for who in (ISP, SITE):
            assert (await queue.list(who, QueueOrder(), 10)).recipients == []
            assert (await queue.list(who, QueueOrder(message=message), 10)).recipients == []
            assert (await queue.retry(who, QueueOrder(destination="b.example"))).recipients == 0
            assert (await queue.bounce(who, QueueOrder(message=message, reason="x"))).recipients == 0
            with pytest.raises(NotFound):
                await queue.list(who, QueueOrder(account="acme"), 10)
            with pytest.raises(NotFound):
                await queue.pause(who, PauseOrder(account="acme"))
            with pytest.raises(Forbidden):
                await queue.pause(who, PauseOrder(destination="b.example"))
        assert len((await queue.list(ADMIN, QueueOrder(), 10)).recipients) == 2

    with_room(tmp_path, work)


def test_pauses_of_others_are_not_shown(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.ask(lambda client: client.add_account(NewAccount(name="site", reseller="isp")))
        queue = room.commands.queue
        await queue.pause(ADMIN, PauseOrder(account="acme"))
        await queue.pause(ADMIN, PauseOrder(destination="b.example"))
        await queue.pause(ISP, PauseOrder(account="site"))

        assert [pause.key for pause in (await queue.list(ISP, QueueOrder(), 10)).pauses] == ["site"]
        assert len((await queue.list(ADMIN, QueueOrder(), 10)).pauses) == 3

    with_room(tmp_path, work)
