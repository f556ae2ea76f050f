"""Accounts, logins, networks, limits and resellers through the control API: roles, borders, dry runs, undo."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from relay.control.accounts.views import (
    AccountChange,
    LimitOrder,
    Limits,
    NewAccount,
    NewCredential,
    NewNetwork,
    NewReseller,
    NoLimits,
    Order,
    Rotation,
)
from relay.control.client import ControlClient
from relay.front.bearer import login_of
from relay.policy.limits.levels import Level, LimitSet
from tests.relay.test_control_api import OTHER, SENDER, START, Room, with_room

Question = Callable[[ControlClient], object]

# What an operator of accounts asks for, on account acme
ADMINS: dict[str, Question] = {
    "set": lambda relay: relay.change_account("acme", AccountChange(contact="ops@acme.example")),
    "suspend": lambda relay: relay.suspend_account("acme"),
    "resume": lambda relay: relay.resume_account("acme"),
    "cred add": lambda relay: relay.add_credential("acme", NewCredential(login="web2")),
    "cred rotate": lambda relay: relay.rotate_credential("web1"),
    "cred revoke": lambda relay: relay.revoke_credential("web1"),
    "allow add": lambda relay: relay.allow("acme", NewNetwork(network="198.51.100.0/24")),
    "allow rm": lambda relay: relay.disallow(NewNetwork(network="192.0.2.0/24")),
    "rm": lambda relay: relay.remove_account("acme"),
}
OPERATORS: dict[str, Question] = {
    "limit set": lambda relay: relay.set_limits(LimitOrder(level=Level.SENDERS, key="acme", rcpts_per_hour=7)),
    "limit rm": lambda relay: relay.remove_limits(NoLimits(level=Level.ACCOUNT, key="acme")),
}
WHOLE_TREE: dict[str, Question] = {
    "reseller add": lambda relay: relay.add_reseller(NewReseller(name="new")),
    "reseller suspend": lambda relay: relay.suspend_reseller("isp"),
    "reseller resume": lambda relay: relay.resume_reseller("isp"),
}


async def furnish(room: Room) -> None:
    """Give account acme a login, a network and a limit; and reseller isp an account of its own."""
    await room.ask(lambda relay: relay.add_credential("acme", NewCredential(login="web1")))
    await room.ask(lambda relay: relay.allow("acme", NewNetwork(network="192.0.2.0/24")))
    await room.ask(lambda relay: relay.set_limits(LimitOrder(level=Level.ACCOUNT, key="acme", rcpts_per_day=900)))
    await room.ask(lambda relay: relay.add_account(NewAccount(name="shop", reseller="isp", login="shop1")))


@pytest.mark.parametrize(
    ("token", "allowed"),
    [
        ("viewer-token", set[str]()),
        ("abuse-token", set[str]()),
        ("operator-token", {*OPERATORS}),
        ("admin-token", {*OPERATORS, *ADMINS, *WHOLE_TREE}),
    ],
)
def test_each_role_may_do_what_is_its_own_and_no_more(tmp_path: Path, token: str, allowed: set[str]) -> None:
    async def work(room: Room) -> None:
        await furnish(room)
        for name, question in (OPERATORS | WHOLE_TREE | ADMINS).items():
            if name in allowed:
                await room.ask(question, token)
            else:
                assert (await room.refusal(question, token)).status == 403, name
        for look in (lambda relay: relay.credentials(), lambda relay: relay.networks(), lambda relay: relay.limits()):
            await room.ask(look, token)

    with_room(tmp_path, work)


def test_a_reseller_manages_its_own_accounts_and_nobody_elses(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await furnish(room)
        before = await room.ask(lambda relay: relay.account("acme"))

        for name, question in (ADMINS | OPERATORS).items():
            assert (await room.refusal(question, "reseller-token")).status == 404, name
        for name, question in WHOLE_TREE.items():
            assert (await room.refusal(question, "reseller-token")).status in (403, 404), name
        assert await room.ask(lambda relay: relay.account("acme")) == before

        def own(relay: ControlClient) -> None:
            relay.change_account("shop", AccountChange(contact="me@shop.example"))
            relay.add_credential("shop", NewCredential(login="shop2"))
            relay.rotate_credential("shop1")
            relay.allow("shop", NewNetwork(network="198.51.100.0/24"))
            relay.set_limits(LimitOrder(level=Level.SENDERS, key="shop", rcpts_per_hour=50))
            relay.suspend_account("shop")
            relay.resume_account("shop")
            assert {view.login for view in relay.credentials()} == {"shop1", "shop2"}
            assert [view.account for view in relay.networks()] == ["shop"]
            assert [view.key for view in relay.limits()] == ["shop"]
            assert [view.name for view in relay.resellers()] == ["isp"]
            relay.remove_account("shop")

        await room.ask(own, "reseller-token")

    with_room(tmp_path, work)


def test_a_reseller_cannot_take_over_a_strangers_mail_or_lift_what_binds_it(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await furnish(room)
        own = LimitOrder(level=Level.RESELLER, key="isp", rcpts_per_hour=0)
        cases: list[tuple[Question, int]] = [
            (lambda relay: relay.allow("shop", NewNetwork(network="192.0.2.7")), 409),
            (lambda relay: relay.allow("shop", NewNetwork(network="192.0.0.0/16")), 409),
            (lambda relay: relay.allow("shop", NewNetwork(network="::ffff:192.0.2.7")), 409),
            (lambda relay: relay.set_limits(own), 403),
            (lambda relay: relay.change_account("shop", AccountChange(reseller="other")), 403),
            (lambda relay: relay.add_account(NewAccount(name="new", reseller="other")), 404),
            (lambda relay: relay.restore_account("gone"), 404),
        ]
        for question, status in cases:
            refusal = await room.refusal(question, "reseller-token")
            assert refusal.status == status, refusal.detail
            assert "acme" not in refusal.detail

    with_room(tmp_path, work)


def test_nobody_sees_logins_or_limits_across_the_border(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await furnish(room)
        looks: list[Question] = [
            lambda relay: relay.credentials("acme"),
            lambda relay: relay.account("acme"),
            lambda relay: relay.account("nobody"),
        ]
        details = {(await room.refusal(look, "reseller-token")).detail for look in looks}
        assert details == {
            f"there is no account {name!r}; `mailweir account ls` names them all" for name in ("acme", "nobody")
        }

    with_room(tmp_path, work)


def test_a_dry_run_of_any_command_changes_nothing(tmp_path: Path) -> None:
    dry = Order(dry_run=True)
    questions: list[Question] = [
        lambda relay: relay.change_account(
            "acme", AccountChange(shared_host=True, add_domains=["a.example"], dry_run=True)
        ),
        lambda relay: relay.suspend_account("acme", dry),
        lambda relay: relay.remove_account("acme", dry),
        lambda relay: relay.add_credential("acme", NewCredential(login="web2", dry_run=True)),
        lambda relay: relay.rotate_credential("web1", Rotation(dry_run=True)),
        lambda relay: relay.revoke_credential("web1", dry),
        lambda relay: relay.allow("acme", NewNetwork(network="198.51.100.0/24", dry_run=True)),
        lambda relay: relay.disallow(NewNetwork(network="192.0.2.0/24", dry_run=True)),
        lambda relay: relay.set_limits(LimitOrder(level=Level.ACCOUNT, key="acme", rcpts_per_day=1, dry_run=True)),
        lambda relay: relay.remove_limits(NoLimits(level=Level.ACCOUNT, key="acme", dry_run=True)),
        lambda relay: relay.add_reseller(NewReseller(name="new", dry_run=True)),
        lambda relay: relay.suspend_reseller("isp", dry),
        lambda relay: relay.add_account(NewAccount(name="new", reseller="new", login="new", dry_run=True)),
    ]

    async def work(room: Room) -> None:
        await furnish(room)

        def everything(relay: ControlClient) -> object:
            return relay.accounts(), relay.credentials(), relay.networks(), relay.limits(), relay.resellers()

        before, log = await room.ask(everything), await room.ask(lambda relay: relay.audit())
        for question in questions:
            told = await room.ask(question)
            assert getattr(told, "dry_run", False)
            assert getattr(told, "password", "") == ""
        assert await room.ask(everything) == before
        assert await room.ask(lambda relay: relay.audit()) == log

    with_room(tmp_path, work)


def test_an_account_with_mail_is_removed_by_force_only_and_its_held_mail_can_still_be_freed(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.put(OTHER)
        await room.put(SENDER, is_held=True)

        refusal = await room.refusal(lambda relay: relay.remove_account("acme"))
        assert (refusal.status, "1 messages to deliver and 1 held" in refusal.detail) == (409, True)
        removed = await room.ask(lambda relay: relay.remove_account("acme", Order(force=True)))
        assert removed.undo == "mailweir account restore acme"
        assert (await room.refusal(lambda relay: relay.account("acme"))).status == 404
        assert len(await room.ask(lambda relay: relay.held())) == 1
        freed = await room.ask(lambda relay: relay.release_sender(SENDER))
        assert freed.messages == 1

    with_room(tmp_path, work)


def test_a_new_secret_is_told_once_with_its_http_key(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        added = await room.ask(lambda relay: relay.add_credential("acme", NewCredential(login="web1")))
        rotated = await room.ask(lambda relay: relay.rotate_credential("web1", Rotation(overlap_seconds=3600)))
        chosen = await room.ask(lambda relay: relay.rotate_credential("web1", Rotation(password="my own")))

        for secret in (added, rotated):
            assert login_of(secret.bearer) == (b"web1", secret.password.encode())
        assert rotated.previous_until == START + timedelta(hours=1)
        assert (chosen.password, chosen.bearer) == ("", "")
        told = msgspec.json.encode(await room.ask(lambda relay: (relay.credentials(), relay.accounts(), relay.audit())))
        assert b"argon2" not in told
        assert rotated.password.encode() not in told

    with_room(tmp_path, work)


@pytest.mark.parametrize(
    ("order", "status", "text"),
    [
        (LimitOrder(level=Level.SENDER, key="acme", rcpts_per_hour=1), 422, "account|kind|value"),
        (LimitOrder(level=Level.DOMAIN, key="acme|Shop.Example", rcpts_per_hour=1), 422, "shop.example"),
        (LimitOrder(level=Level.DOMAIN, key="acme|", rcpts_per_hour=1), 422, "account|domain"),
        (LimitOrder(level=Level.ACCOUNT, key="acme|x", rcpts_per_hour=1), 422, "the account"),
        (LimitOrder(level=Level.ACCOUNT, key="nobody", rcpts_per_hour=1), 404, "'nobody'"),
        (LimitOrder(level=Level.RESELLER, key="nobody", rcpts_per_hour=1), 404, "'nobody'"),
        (LimitOrder(level=Level.ACCOUNT, key="acme", rcpts_per_hour=-1), 422, "0 for no limit"),
        (LimitOrder(level=Level.ACCOUNT, key="acme", rcpts_per_hour=2**31), 422, "0 for no limit"),
        (LimitOrder(level=Level.SENDER, key=f"acme|x|{'y' * 640}", rcpts_per_hour=1), 422, "at most 640"),
        (LimitOrder(level=Level.ACCOUNT, key="acme"), 422, "at least one"),
    ],
)
def test_an_impossible_limit_is_refused(tmp_path: Path, order: LimitOrder, status: int, text: str) -> None:
    async def work(room: Room) -> None:
        refusal = await room.refusal(lambda relay: relay.set_limits(order))
        assert (refusal.status, text in refusal.detail) == (status, True), refusal.detail
        assert room.state.limits == {}

    with_room(tmp_path, work)


def test_limits_change_one_by_one_and_are_in_memory_at_once(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        def put(**numbers: int | None) -> Question:
            return lambda relay: relay.set_limits(LimitOrder(level=Level.SENDER, key=SENDER, **numbers))

        await room.ask(put(rcpts_per_hour=50, rcpts_per_message=10))
        await room.ask(put(rcpts_per_hour=0))
        assert room.state.limits == {(Level.SENDER, SENDER): LimitSet(rcpts_per_hour=0, rcpts_per_message=10)}
        changed = await room.ask(put(rcpts_per_hour=None))
        assert getattr(changed, "undo", "").endswith("--rcpts-per-hour 0")
        await room.ask(put(rcpts_per_message=None))
        assert room.state.limits == {}

    with_room(tmp_path, work)


def test_an_account_may_begin_with_limits_and_rules(tmp_path: Path) -> None:
    new = NewAccount(
        name="web",
        sender_limits=Limits(rcpts_per_hour=30),
        identity_rules=["site=X-Site!keep"],
        normalises_line_ends=True,
    )

    async def work(room: Room) -> None:
        added = (await room.ask(lambda relay: relay.add_account(new))).account
        assert (added.sender_limits.rcpts_per_hour, added.identity_rules) == (30, ["site=X-Site!keep"])
        assert added.normalises_line_ends
        refusal = await room.refusal(
            lambda relay: relay.change_account("web", AccountChange(identity_rules=["nonsense"]))
        )
        assert refusal.status == 422

    with_room(tmp_path, work)
