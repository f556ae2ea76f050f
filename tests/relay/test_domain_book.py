"""Customers' keys in the state: what signs, what a look into DNS changes, what is kept secret."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from relay.account import Account
from relay.clock import SteppedClock
from relay.content.protocol import KeyChange
from relay.control.audit.chain import Act
from relay.control.state.memory import State
from relay.delivery.signing.algorithm import Algorithm
from relay.domains.keys import DkimKey, Domain, Sight, after_look, new_key
from relay.domains.views import KeyState
from tests.blank import opened_state
from tests.builders import ADMIN
from tests.relay.test_control_state import START

KEY = new_key("acme", "acme.example", Algorithm.ED25519, START)
ACTIVE = replace(KEY, state=KeyState.ACTIVE, seen_at=START)
ACT = [Act("domain.test", "acme", "acme.example")]


def with_state(tmp_path: Path, work: Callable[[State, SteppedClock], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        clock = SteppedClock(START)
        state = await opened_state(tmp_path, clock)
        try:
            await work(state, clock)
        finally:
            await state.close()

    asyncio.run(run())


def test_keys_and_what_is_proved_survive_a_restart(tmp_path: Path) -> None:
    proved = Domain("acme", "acme.example", START, "bounce.acme.example", START)

    async def fill(state: State, _clock: SteppedClock) -> None:
        await state.add_account(Account("acme"), ADMIN)
        await state.add_domain("acme", "acme.example", ADMIN, [KEY])
        assert state.book.in_use() == []
        await state.book.change([ACTIVE], proved, ADMIN, ACT)

    async def check(state: State, _clock: SteppedClock) -> None:
        assert state.book.keys_of("acme", "acme.example") == [ACTIVE]
        assert state.book.domain("acme", "acme.example") == proved
        assert [key.id for key in state.book.in_use()] == [KEY.id]
        assert state.book.every_domain() == [("acme", "acme.example")]

    with_state(tmp_path, fill)
    with_state(tmp_path, check)


def test_who_signs_hears_of_each_change_once_and_only_of_keys_that_sign(tmp_path: Path) -> None:
    async def work(state: State, _clock: SteppedClock) -> None:
        heard: list[KeyChange] = []
        state.book.on_change = heard.append
        await state.add_account(Account("acme"), ADMIN)
        await state.add_domain("acme", "acme.example", ADMIN, [KEY])
        assert heard == []
        await state.book.change([ACTIVE], None, ADMIN, ACT)
        await state.book.change([ACTIVE], None, ADMIN, ACT)
        await state.remove_account("acme", ADMIN)
        await state.restore_account("acme", ADMIN)
        after = replace(state.account("acme"), domains=())
        await state.change_account(after, ADMIN, ACT[0])
        await state.change_account(replace(after, domains=("acme.example",)), ADMIN, ACT[0])

        assert [([key.id for key in change.put], change.drop) for change in heard] == [
            ([KEY.id], []),
            ([], [KEY.id]),
            ([KEY.id], []),
            ([], [KEY.id]),
        ]
        # the domain came back: what was published is to be seen again before it signs
        assert [key.state for key in state.book.keys_of("acme", "acme.example")] == [KeyState.PENDING]

    with_state(tmp_path, work)


def test_no_private_key_is_shown_and_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "state.sqlite").touch(0o644)

    async def work(state: State, _clock: SteppedClock) -> None:
        await state.add_account(Account("acme"), ADMIN)
        await state.add_domain("acme", "acme.example", ADMIN, [KEY])
        log = await state.audit_log(10)
        told = f"{KEY!r} {state.book.in_use()!r} {json.dumps([entry.detail for entry in log])}"
        assert "PRIVATE" not in told
        assert KEY.selector in told
        assert modes(tmp_path) == {0o600}

    with_state(tmp_path, work)


def modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.glob("state.sqlite*")}


LATER = START + timedelta(hours=1)
YOUNGER = replace(KEY, selector="mw2", created_at=LATER)


@pytest.mark.parametrize(
    ("keys", "sights", "states"),
    [
        ([KEY], {KEY.selector: Sight.SEEN}, {KEY.selector: KeyState.ACTIVE}),
        ([KEY], {KEY.selector: Sight.MISSING}, {}),
        ([KEY], {KEY.selector: Sight.WRONG}, {}),
        ([KEY], {}, {}),
        ([ACTIVE], {KEY.selector: Sight.SEEN}, {}),
        ([ACTIVE], {KEY.selector: Sight.UNKNOWN}, {}),
        ([ACTIVE], {KEY.selector: Sight.MISSING}, {KEY.selector: KeyState.PENDING}),
        ([ACTIVE], {KEY.selector: Sight.WRONG}, {KEY.selector: KeyState.PENDING}),
        ([ACTIVE, YOUNGER], {KEY.selector: Sight.SEEN, "mw2": Sight.MISSING}, {}),
        (
            [ACTIVE, YOUNGER],
            {KEY.selector: Sight.SEEN, "mw2": Sight.SEEN},
            {KEY.selector: KeyState.RETIRED, "mw2": KeyState.ACTIVE},
        ),
        (
            [ACTIVE, replace(YOUNGER, algorithm=Algorithm.RSA)],
            {KEY.selector: Sight.SEEN, "mw2": Sight.SEEN},
            {"mw2": KeyState.ACTIVE},
        ),
        ([replace(KEY, state=KeyState.RETIRED)], {KEY.selector: Sight.SEEN}, {}),
    ],
)
def test_a_look_into_dns_changes_what_it_surely_saw(
    keys: list[DkimKey], sights: dict[str, Sight], states: dict[str, KeyState]
) -> None:
    changed = after_look(keys, sights, LATER)

    assert states == {key.selector: key.state for key in changed}
    assert all(key.pem == b"" for key in changed if key.state is KeyState.RETIRED)
