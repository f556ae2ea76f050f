"""The suppression list through the control API: roles, borders, dry runs, wrong values."""

from datetime import timedelta
from pathlib import Path

import pytest

from relay.control.accounts.views import NewAccount, NewReseller
from relay.control.client import ControlClient
from relay.control.suppression.suppressed import Reason
from relay.control.suppression.views import SuppressionOrder, SuppressionRemoval, SuppressionRow
from tests.relay.test_control_api import START, Room, with_room


def add(account: str, *addresses: str, dry_run: bool = False, **more: object) -> SuppressionOrder:
    rows = [SuppressionRow(address=address, **more) for address in addresses]  # type: ignore[arg-type]
    return SuppressionOrder(account=account, rows=rows, dry_run=dry_run)


def remove(account: str, *addresses: str) -> SuppressionRemoval:
    return SuppressionRemoval(account=account, addresses=[*addresses])


@pytest.mark.parametrize(
    ("token", "may"), [("viewer-token", False), ("abuse-token", True), ("operator-token", True), ("admin-token", True)]
)
def test_the_list_is_the_abuse_desks(tmp_path: Path, token: str, may: bool) -> None:
    async def work(room: Room) -> None:
        for question in (
            lambda relay: relay.suppress(add("acme", "a@x.example")),
            lambda relay: relay.suppress(add("", "trap@x.example", reason=Reason.TRAP)),
            lambda relay: relay.suppressions("acme"),
            lambda relay: relay.suppressions(),
            lambda relay: relay.unsuppress(remove("acme", "a@x.example")),
        ):
            if may:
                await room.ask(question, token)
            else:
                assert (await room.refusal(question, token)).status == 403

    with_room(tmp_path, work)


def test_a_reseller_sees_and_changes_its_own_accounts_list_only(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.ask(lambda relay: relay.add_reseller(NewReseller(name="isp")))
        await room.ask(lambda relay: relay.add_account(NewAccount(name="shop", reseller="isp")))
        await room.ask(lambda relay: relay.suppress(add("acme", "a@x.example")))

        for question, status in (
            (lambda relay: relay.suppress(add("acme", "b@x.example")), 404),
            (lambda relay: relay.suppress(add("nobody", "b@x.example")), 404),
            (lambda relay: relay.unsuppress(remove("acme", "a@x.example")), 404),
            (lambda relay: relay.suppressions("acme"), 404),
            (lambda relay: relay.suppress(add("", "b@x.example")), 403),
            (lambda relay: relay.suppressions(""), 403),
            (lambda relay: relay.suppressions(), 422),
        ):
            assert (await room.refusal(question, "reseller-token")).status == status

        def own(relay: ControlClient) -> None:
            relay.suppress(add("shop", "c@x.example"))
            assert [view.address for view in relay.suppressions("shop")] == ["c@x.example"]

        await room.ask(own, "reseller-token")
        assert len(await room.ask(lambda relay: relay.suppressions("acme"))) == 1

    with_room(tmp_path, work)


def test_a_dry_run_counts_and_changes_nothing(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.ask(lambda relay: relay.suppress(add("acme", "a@x.example")))

        told = await room.ask(lambda relay: relay.suppress(add("acme", "A@x.example", "b@x.example", dry_run=True)))
        assert (told.added, told.replaced, told.dry_run) == (1, 1, True)
        order = SuppressionRemoval(account="acme", addresses=["a@x.example", "c@x.example"], dry_run=True)
        told = await room.ask(lambda relay: relay.unsuppress(order))
        assert (told.removed, told.missing) == (1, 1)
        assert [view.address for view in await room.ask(lambda relay: relay.suppressions("acme"))] == ["a@x.example"]

    with_room(tmp_path, work)


def test_each_change_is_audited_in_one_row(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.ask(lambda relay: relay.suppress(add("acme", "a@x.example", "b@x.example")), "abuse-token")
        await room.ask(lambda relay: relay.unsuppress(remove("acme", "a@x.example")))

        removed, added = (await room.ask(lambda relay: relay.audit(2)))[:2]
        assert (added.command, added.account, added.target) == ("suppression.add", "acme", "2 addresses")
        assert (removed.command, removed.target) == ("suppression.remove", "a@x.example")

    with_room(tmp_path, work)


def test_wrong_rows_are_refused_whole_with_the_fix(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        for order, words in (
            (add("acme", "good@x.example", "no address"), "write it like user@example.org"),
            (add("acme", "a@" + "x" * 320), "write it like"),
            (add("acme", "a\x00@x.example"), "write it like"),
            (add("acme", "a@x.example", ends_at=START - timedelta(days=1)), "lies in the past"),
            (add("acme", "a@x.example", evidence="x" * 2000), "at most 1000 characters"),
            (add("acme"), "give from 1 to 5000"),
        ):
            refusal = await room.refusal(lambda relay, order=order: relay.suppress(order))
            assert refusal.status == 422
            assert words in refusal.detail
        assert await room.ask(lambda relay: relay.suppressions("acme")) == []

    with_room(tmp_path, work)
