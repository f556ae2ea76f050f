"""Saved questions through the control API, with a real state behind it."""

from pathlib import Path

import pytest

from relay.control.client import ControlClient
from relay.saved.views import SavedOrder, SavedRemoval
from relay.tree import Principal, Role, Scope
from relay.users.user import User
from tests.relay.test_control_api import Room, with_room

SEARCH = SavedOrder(kind="search", name="Bounced at Gmail", text="bounced:Y destination:gmail.com")
FREE = SavedOrder(kind="sql", name="Outcomes", text="SELECT outcome FROM recipient")


def test_a_search_is_kept_for_whoever_saved_it_and_for_nobody_else(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.ask(lambda relay: relay.save_question(SEARCH), "viewer-token")

        (kept,) = await room.ask(lambda relay: relay.saved_questions(), "viewer-token")
        assert (kept.kind, kept.name, kept.text) == ("search", SEARCH.name, SEARCH.text)
        assert kept.saved_at == room.clock.now()
        assert await room.ask(lambda relay: relay.saved_questions(), "abuse-token") == []
        assert await room.ask(lambda relay: relay.saved_questions(), "admin-token") == []
        entry = (await room.ask(lambda relay: relay.audit()))[0]
        assert (entry.command, entry.principal, entry.detail["name"]) == ("saved.put", "notebook", SEARCH.name)

    with_room(tmp_path, work)


def test_one_of_the_same_name_and_kind_is_replaced_and_told(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.ask(lambda relay: relay.save_question(SEARCH))
        await room.ask(lambda relay: relay.save_question(SavedOrder(kind="sql", name=SEARCH.name, text="SELECT 1")))
        done = await room.ask(
            lambda relay: relay.save_question(SavedOrder(kind="search", name=f" {SEARCH.name} ", text="bounced:N"))
        )

        assert done.before is not None
        assert done.before.text == SEARCH.text
        kept = await room.ask(lambda relay: relay.saved_questions())
        assert [(one.kind, one.text) for one in kept] == [("search", "bounced:N"), ("sql", "SELECT 1")]

    with_room(tmp_path, work)


def test_what_is_removed_is_gone_and_what_is_not_there_is_refused(tmp_path: Path) -> None:
    removal = SavedRemoval(kind="search", name=SEARCH.name)

    async def work(room: Room) -> None:
        await room.ask(lambda relay: relay.save_question(SEARCH))
        assert (await room.refusal(lambda relay: relay.remove_saved(removal), "abuse-token")).status == 404
        await room.ask(lambda relay: relay.remove_saved(SavedRemoval(kind="search", name=SEARCH.name, dry_run=True)))
        assert len(await room.ask(lambda relay: relay.saved_questions())) == 1

        await room.ask(lambda relay: relay.remove_saved(removal))
        assert await room.ask(lambda relay: relay.saved_questions()) == []
        assert (await room.refusal(lambda relay: relay.remove_saved(removal))).status == 404

    with_room(tmp_path, work)


@pytest.mark.parametrize("token", ["viewer-token", "abuse-token", "operator-token", "reseller-token"])
def test_free_questions_are_kept_by_administrators_of_the_whole_tree_only(tmp_path: Path, token: str) -> None:
    async def work(room: Room) -> None:
        assert (await room.refusal(lambda relay: relay.save_question(FREE), token)).status == 403
        await room.ask(lambda relay: relay.save_question(FREE), "admin-token")
        removal = SavedRemoval(kind="sql", name=FREE.name)
        assert (await room.refusal(lambda relay: relay.remove_saved(removal), token)).status == 403
        assert [one.name for one in await room.ask(lambda relay: relay.saved_questions())] == [FREE.name]

    with_room(tmp_path, work)


@pytest.mark.parametrize(
    "order",
    [
        SavedOrder(kind="search", name=" ", text="bounced:Y"),
        SavedOrder(kind="search", name="x" * 81, text="bounced:Y"),
        SavedOrder(kind="search", name="a\x00b", text="bounced:Y"),
        SavedOrder(kind="search", name="empty", text="  "),
        SavedOrder(kind="search", name="long", text="x" * 20_001),
    ],
)
def test_a_name_or_text_nobody_could_use_is_refused(tmp_path: Path, order: SavedOrder) -> None:
    async def work(room: Room) -> None:
        assert (await room.refusal(lambda relay: relay.save_question(order))).status == 422
        assert await room.ask(lambda relay: relay.saved_questions()) == []

    with_room(tmp_path, work)


def test_a_list_that_is_full_takes_no_other_name_but_still_a_new_text(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        def fill(relay: ControlClient) -> None:
            for number in range(100):
                relay.save_question(SavedOrder(kind="search", name=f"n{number}", text="bounced:Y"))

        await room.ask(fill)
        refusal = await room.refusal(lambda relay: relay.save_question(SEARCH))
        assert refusal.status == 422
        await room.ask(lambda relay: relay.save_question(SavedOrder(kind="search", name="n7", text="bounced:N")))

    with_room(tmp_path, work)


def test_who_gets_the_name_of_a_removed_user_finds_nothing_of_his(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        state, admin = room.state, Principal("admin", Role.ADMIN)
        user = User("ann", Role.VIEWER, Scope(), "", False, room.clock.now())
        await state.users.add(user, admin)
        desk = room.commands.desk.saved
        await desk.put(user.principal, SEARCH)
        assert len(await desk.list(user.principal)) == 1

        await state.users.remove("ann", admin)
        await state.users.add(user, admin)
        assert await desk.list(user.principal) == []

    with_room(tmp_path, work)
