"""Logins: who is let in, what is remembered, and how guessing ends. Real argon2 with small parameters."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from argon2 import Parameters, PasswordHasher, extract_parameters

from relay.account import Credential
from relay.clock import SteppedClock
from relay.front.auth import Authenticator, Locked
from relay.front.lockout import FAILURES, GUESSES, LOCK_SECONDS, STRANGER_FAILURES
from tests.builders import ROOT, Installation

HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HERE, ELSEWHERE = "192.0.2.7", "198.51.100.9"


class Place:
    """Credentials, a clock that stands still, and the authenticator over them."""

    def __init__(self, hasher: PasswordHasher = HASHER) -> None:
        self.clock = SteppedClock(datetime(2026, 11, 24, 12, tzinfo=UTC))
        self.credentials = {
            name: Credential(name, "hosting", hasher.hash(f"secret-{name}")) for name in ("srv1", "srv2")
        }
        self.hasher = CountingHasher(hasher)
        self.uses: list[tuple[str, str]] = []
        self.authenticator = self.started()

    def started(self) -> Authenticator:
        return Authenticator(
            self.credentials,
            self.clock,
            self.hasher,
            secret=b"of the node",
            on_success=lambda login, client_ip: self.uses.append((login, client_ip)),
        )

    def change(self, login: str, **values: object) -> None:
        self.credentials[login] = replace(self.credentials[login], **values)  # type: ignore[arg-type]

    def rotate(self, login: str, password: str, hours: float = 24) -> None:
        until = self.clock.now() + timedelta(hours=hours)
        before = self.credentials[login].hash
        self.change(login, hash=HASHER.hash(password), previous_hash=before, previous_until=until)

    async def check(self, login: str, password: str, client_ip: str = HERE) -> Credential | Locked | None:
        return await self.authenticator.check(login.encode(), password.encode(), client_ip)

    async def fail(self, times: int, login: str = "srv1", client_ip: str = HERE) -> list[Credential | Locked | None]:
        return [await self.check(login, f"wrong-{n}", client_ip) for n in range(times)]


class CountingHasher(PasswordHasher):
    """The real one, which also notes what each verification cost, and how many ran at once."""

    def __init__(self, other: PasswordHasher) -> None:
        super().__init__(time_cost=other.time_cost, memory_cost=other.memory_cost, parallelism=other.parallelism)
        self.at_once = self.most_at_once = 0
        self.costs: list[Parameters] = []

    @property
    def runs(self) -> int:
        return len(self.costs)

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
        self.costs.append(extract_parameters(str(hash)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return super().verify(hash, password)
        finally:
            self.at_once -= 1


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.authenticator.close()


def test_the_right_password_gives_the_credential_and_nothing_else_does(place: Place) -> None:
    async def story() -> None:
        assert await place.check("srv1", "secret-srv1") == place.credentials["srv1"]
        for login, password in [
            ("srv1", "secret-srv2"),
            ("srv1", ""),
            ("", ""),
            ("SRV1", "secret-srv1"),
            ("nobody", "secret-srv1"),
            ("srv1", "x" * 100_000),
        ]:
            assert await place.check(login, password) is None
        assert await place.authenticator.check(b"\xff\xfe", b"\x00\xff", HERE) is None

    asyncio.run(story())


def test_a_verified_password_is_remembered_for_15_minutes(place: Place) -> None:
    async def story() -> None:
        for _ in range(5):
            assert await place.check("srv1", "secret-srv1", ELSEWHERE)
        assert place.hasher.runs == 1

        place.clock.advance(901)
        assert await place.check("srv1", "secret-srv1")
        assert place.hasher.runs == 2

    asyncio.run(story())


def test_a_wrong_password_tried_again_costs_nothing_and_stays_wrong(place: Place) -> None:
    async def story() -> None:
        for _ in range(5):
            assert await place.check("srv1", "old") is None
            assert await place.check("nobody", "old") is None
        assert place.hasher.runs == 2

    asyncio.run(story())


def test_a_changed_password_counts_at_once(place: Place) -> None:
    async def story() -> None:
        assert await place.check("srv1", "secret-srv1")
        assert await place.check("srv1", "new") is None

        place.credentials["srv1"] = replace(place.credentials["srv1"], hash=HASHER.hash("new"))

        assert await place.check("srv1", "secret-srv1") is None
        assert await place.check("srv1", "new")

    asyncio.run(story())


@pytest.mark.parametrize("how", ["revoked", "removed"])
def test_a_credential_that_is_gone_lets_nobody_in(place: Place, how: str) -> None:
    async def story() -> None:
        assert await place.check("srv1", "secret-srv1")

        if how == "revoked":
            place.credentials["srv1"] = replace(place.credentials["srv1"], is_revoked=True)
        else:
            del place.credentials["srv1"]

        assert await place.check("srv1", "secret-srv1") is None

    asyncio.run(story())


def test_ten_failures_lock_this_login_at_this_address_and_no_other(place: Place) -> None:
    async def story() -> None:
        assert await place.fail(FAILURES) == [None] * FAILURES

        locked = await place.check("srv1", "secret-srv1")

        assert locked == Locked(place.clock.unix() + LOCK_SECONDS)
        assert await place.check("srv1", "secret-srv1", ELSEWHERE)
        assert await place.check("srv2", "secret-srv2")

    asyncio.run(story())


def test_a_lock_ends_after_15_minutes(place: Place) -> None:
    async def story() -> None:
        await place.fail(FAILURES)
        place.clock.advance(LOCK_SECONDS - 1)
        assert isinstance(await place.check("srv1", "secret-srv1"), Locked)

        place.clock.advance(2)

        assert await place.check("srv1", "secret-srv1")

    asyncio.run(story())


def test_failures_spread_over_more_than_ten_minutes_lock_nobody(place: Place) -> None:
    async def story() -> None:
        for _ in range(3 * FAILURES):
            assert await place.check("srv1", "wrong") is None
            place.clock.advance(67)

    asyncio.run(story())


def test_logins_that_do_not_exist_lock_just_the_same(place: Place) -> None:
    async def story() -> None:
        assert await place.fail(FAILURES + 1, "nobody") == await place.fail(FAILURES + 1, "srv1")

    asyncio.run(story())


def test_an_address_that_succeeded_today_is_not_locked_for_one_script_with_an_old_password(place: Place) -> None:
    async def story() -> None:
        assert await place.check("srv1", "secret-srv1")

        for login in ("srv2", "srv1"):
            for _ in range(3 * FAILURES):
                assert await place.check(login, "old password") is None

        assert await place.check("srv1", "secret-srv1")
        assert await place.check("srv2", "secret-srv2")

    asyncio.run(story())


def test_trust_in_an_address_ends_after_a_day(place: Place) -> None:
    async def story() -> None:
        await place.check("srv1", "secret-srv1")
        place.clock.advance(86_401)

        await place.fail(FAILURES)

        assert isinstance(await place.check("srv1", "secret-srv1"), Locked)

    asyncio.run(story())


def test_an_address_that_guesses_many_logins_is_locked_whole(place: Place) -> None:
    async def story() -> None:
        for number in range(STRANGER_FAILURES):
            assert await place.check(f"user{number}", "123456") is None
            place.clock.advance(1)

        assert isinstance(await place.check("user-next", "123456"), Locked)
        assert await place.check("srv1", "secret-srv1", ELSEWHERE)

    asyncio.run(story())


def test_parallel_guesses_of_one_address_stay_bounded_and_trusted_ones_too(place: Place) -> None:
    async def story() -> None:
        await place.check("srv1", "secret-srv1")
        before = place.hasher.runs

        answers = await asyncio.gather(*(place.check(f"user{n}", "123456") for n in range(200)))

        assert place.hasher.runs - before <= GUESSES
        assert sum(isinstance(answer, Locked) for answer in answers) >= 200 - GUESSES
        assert await place.check("srv1", "secret-srv1")

        place.clock.advance(11)
        assert await place.check("srv2", "secret-srv2")

    asyncio.run(story())


def test_a_burst_of_logins_of_one_server_costs_one_verification(place: Place) -> None:
    async def story() -> None:
        answers = await asyncio.gather(*(place.check("srv1", "secret-srv1") for _ in range(60)))

        assert all(answer == place.credentials["srv1"] for answer in answers)
        assert place.hasher.runs == 1

    asyncio.run(story())


def test_at_most_two_verifications_run_at_once_and_one_per_address(place: Place) -> None:
    async def story() -> None:
        await asyncio.gather(*(place.check("srv1", f"w{n}") for n in range(5)))
        assert place.hasher.most_at_once == 1

        await asyncio.gather(*(place.check("srv1", f"x{n}", f"203.0.113.{n}") for n in range(20)))
        assert place.hasher.most_at_once <= 2

    asyncio.run(story())


def test_the_loop_is_free_while_a_password_is_verified() -> None:
    slow = Place(PasswordHasher(time_cost=8, memory_cost=16_384, parallelism=1))

    async def story() -> None:
        checking = asyncio.create_task(slow.check("srv1", "secret-srv1"))
        ticks = 0
        while not checking.done():
            await asyncio.sleep(0)
            ticks += 1
        assert await checking
        assert ticks > 10

    asyncio.run(story())
    slow.authenticator.close()


def test_a_stored_password_costs_three_rounds_of_64_mib(tmp_path: Path) -> None:
    """The commands as they are shipped: in this process hashes are made with little work (tests/light.py)."""
    site = Installation(tmp_path)
    site.write(1, model="none")
    for words in ("account add acme --login srv1", "user add ann"):
        command = [sys.executable, "-W", "ignore", "-m", "relay.cli", "--config", str(site.config), *words.split()]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)

    database = sqlite3.connect(site.data / "state.sqlite")
    stored = database.execute("SELECT hash FROM credential UNION ALL SELECT password_hash FROM user").fetchall()
    database.close()

    costs = [extract_parameters(hashed) for (hashed,) in stored]
    assert [(cost.type.name, cost.time_cost, cost.memory_cost) for cost in costs] == [("ID", 3, 65_536)] * 2
    assert extract_parameters(PasswordHasher().hash("x")).memory_cost == 8  # here


def test_an_unknown_login_costs_the_same_work_as_a_wrong_password(place: Place) -> None:
    async def story() -> None:
        for login in ("srv1", "nobody"):
            assert await place.check(login, "wrong") is None

    asyncio.run(story())
    known, unknown = place.hasher.costs
    assert known == unknown


def test_ipv6_clients_are_one_address_per_64(place: Place) -> None:
    async def story() -> None:
        for number in range(FAILURES):
            await place.check("srv1", f"wrong-{number}", f"2001:db8:1:2::{number}")

        assert isinstance(await place.check("srv1", "secret-srv1", "2001:db8:1:2:ffff::1"), Locked)
        assert await place.check("srv1", "secret-srv1", "2001:db8:1:3::1")

    asyncio.run(story())


def test_a_failed_login_is_named_by_a_hash_only(place: Place) -> None:
    name = place.authenticator.login_hash(b"hunter2")

    assert name == place.authenticator.login_hash(b"hunter2")
    assert name != place.authenticator.login_hash(b"hunter3")
    assert "hunter2" not in name
    assert len(name) == 16


def test_both_passwords_are_good_until_the_overlap_ends(place: Place) -> None:
    async def story() -> None:
        assert await place.check("srv1", "secret-srv1")
        place.rotate("srv1", "new")

        assert await place.check("srv1", "secret-srv1")
        assert await place.check("srv1", "new") == place.credentials["srv1"]
        place.clock.advance(24 * 3600 - 1)
        assert await place.check("srv1", "secret-srv1")

        place.clock.advance(1)

        assert await place.check("srv1", "secret-srv1") is None
        assert await place.check("srv1", "new")

    asyncio.run(story())


def test_a_login_that_is_revoked_while_its_password_is_verified_is_not_let_in(place: Place) -> None:
    async def story() -> None:
        checking = asyncio.create_task(place.check("srv1", "secret-srv1"))
        await asyncio.sleep(0)
        place.change("srv1", is_revoked=True)

        assert await checking is None

    asyncio.run(story())


def test_a_second_rotation_drops_the_oldest_password_at_once(place: Place) -> None:
    async def story() -> None:
        place.rotate("srv1", "second")
        assert await place.check("srv1", "secret-srv1")

        place.rotate("srv1", "third")

        assert await place.check("srv1", "secret-srv1") is None
        assert await place.check("srv1", "second")
        assert await place.check("srv1", "third")

    asyncio.run(story())


def test_a_bound_login_is_a_wrong_password_from_anywhere_else(place: Place) -> None:
    place.change("srv1", networks=(ip_network("192.0.2.0/24"),))

    async def story() -> None:
        assert await place.check("srv1", "secret-srv1", HERE)
        assert await place.check("srv1", "secret-srv1", ELSEWHERE) is None
        assert await place.check("srv1", "secret-srv1", HERE)

        for _ in range(FAILURES - 1):
            assert await place.check("srv1", "secret-srv1", ELSEWHERE) is None
        assert isinstance(await place.check("srv1", "secret-srv1", ELSEWHERE), Locked)

    asyncio.run(story())


@pytest.mark.parametrize("is_rotating", [False, True])
def test_every_refusal_costs_the_same_work(place: Place, is_rotating: bool) -> None:
    place.credentials |= {
        "revoked": replace(place.credentials["srv1"], login="revoked", is_revoked=True),
        "bound": replace(place.credentials["srv1"], login="bound", networks=(ip_network("10.0.0.0/8"),)),
    }
    if is_rotating:
        place.rotate("srv2", "new")
    tries = [("srv1", "x"), ("srv2", "x"), ("nobody", "x"), ("revoked", "secret-srv1"), ("bound", "secret-srv1")]

    async def story() -> None:
        for login, password in tries:
            before = place.hasher.runs
            assert await place.check(login, password) is None
            assert place.hasher.runs - before == (2 if is_rotating else 1), login

    asyncio.run(story())
    assert len({str(cost) for cost in place.hasher.costs}) == 1


def test_a_session_goes_on_while_its_login_is_good(place: Place) -> None:
    place.change("srv1", networks=(ip_network("192.0.2.0/24"),))
    now, is_usable = place.clock.now(), place.authenticator.is_usable

    assert is_usable("srv1", HERE, now)
    assert not is_usable("srv1", ELSEWHERE, now)
    assert not is_usable("nobody", HERE, now)

    place.change("srv1", is_revoked=True)
    assert not is_usable("srv1", HERE, now)


def test_a_session_ends_with_the_password_it_came_in_with(place: Place) -> None:
    async def story() -> None:
        place.rotate("srv1", "new", hours=1)
        old, new = await place.check("srv1", "secret-srv1"), await place.check("srv1", "new")
        assert isinstance(old, Credential)
        assert isinstance(new, Credential)

        def usable() -> list[bool]:
            now = place.clock.now()
            return [place.authenticator.is_usable("srv1", HERE, now, known.hash) for known in (old, new)]

        assert usable() == [True, True]
        place.clock.advance(3600)
        assert usable() == [False, True]
        place.change("srv1", hash=HASHER.hash("third"), previous_hash="", previous_until=None)
        assert usable() == [False, False]

    asyncio.run(story())


def test_a_script_with_the_old_password_stops_nobody_on_its_server(place: Place) -> None:
    """The server's mailer logs in with the new password all day, a forgotten script with the old one each second."""

    async def story() -> None:
        assert await place.check("srv1", "secret-srv1")
        place.change("srv1", hash=HASHER.hash("new"))

        for second in range(3 * FAILURES * 60):
            if second % 60 == 0:
                assert await place.check("srv1", "new"), second
            assert await place.check("srv1", "secret-srv1") is None, second
            place.clock.advance(1)

    asyncio.run(story())


def test_a_restart_forgets_neither_a_lock_nor_who_is_trusted(place: Place) -> None:
    async def story() -> None:
        assert await place.check("srv2", "secret-srv2", HERE)
        await place.fail(FAILURES, client_ip=ELSEWHERE)
        rows = place.authenticator.lockout.dirty()
        place.authenticator.close()

        place.authenticator = place.started()
        place.authenticator.lockout.load(rows)

        assert isinstance(await place.check("srv1", "secret-srv1", ELSEWHERE), Locked)
        assert await place.fail(2 * FAILURES) == [None] * 2 * FAILURES
        assert await place.check("srv1", "secret-srv1")
        kept = " ".join(name for name, _ in rows) + repr([row for _, row in rows])
        assert not any(clear in kept for clear in ("srv", HERE, ELSEWHERE, HERE.encode().hex(), b"srv1".hex()))

    asyncio.run(story())


def test_every_login_that_succeeds_is_told_with_its_address(place: Place) -> None:
    async def story() -> None:
        await place.check("srv1", "secret-srv1")
        await place.check("srv1", "secret-srv1", ELSEWHERE)
        await place.check("srv1", "wrong")

    asyncio.run(story())
    assert place.uses == [("srv1", HERE), ("srv1", ELSEWHERE)]
