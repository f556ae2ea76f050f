"""The control API from the outside: a real server, a real client, a real spool and journal behind it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx2
import msgspec
import pytest

from relay.clock import SteppedClock
from relay.control.api import House, build_app, serve
from relay.control.client import ControlClient, ControlError, ControlUnreachable
from relay.control.commands import Commands
from relay.control.shaping.commands import ShapingDesk
from relay.control.state.memory import State
from relay.control.views import (
    ConfirmOrder,
    DropOrder,
    HoldOrder,
    NewAccount,
    NewCredential,
    NewDecision,
    NewNetwork,
    Outcome,
    Problem,
    ReleaseOrder,
    Reloaded,
    ReloadOrder,
)
from relay.delivery.courier import Courier
from relay.delivery.egress.egress import Egress
from relay.delivery.shaping.providers import load_providers
from relay.delivery.shaping.shaper import Shaper
from relay.events import Action, Reception, Record
from relay.notices.addressee import addressee
from relay.policy.decisions.decision import Effect, Proposal, Standing
from relay.policy.signals.live import Signals
from relay.settings import Delivery, Policy, Settings
from relay.spool.journal import Journal
from relay.spool.store import Flags, Spool, SpooledMessage
from relay.tree import Principal, Role, Scope
from tests.blank import opened_state
from tests.builders import journaled

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SENDER = "acme|script|/var/www/shop/mail.php"  # with slashes: it must survive the way through a URL
OTHER = "acme|mailfrom|desk@acme.example"
PRINCIPALS = {
    "admin-token": Principal("admin", Role.ADMIN),
    "operator-token": Principal("analytics", Role.OPERATOR),
    "abuse-token": Principal("dashboard", Role.ABUSE),
    "viewer-token": Principal("notebook", Role.VIEWER),
    "reseller-token": Principal("isp", Role.ADMIN, Scope(reseller="isp")),
}
T = TypeVar("T")


@dataclass
class Room:
    """Everything behind the API, and the folder of its journal."""

    state: State
    spool: Spool
    journal: Journal
    signals: Signals
    clock: SteppedClock
    commands: Commands
    egress: Egress
    folder: Path
    port: int
    shaper: Shaper
    courier: Courier

    def client(self, token: str = "admin-token") -> ControlClient:
        return ControlClient(f"http://127.0.0.1:{self.port}", token)

    async def ask(self, question: Callable[[ControlClient], T], token: str = "admin-token") -> T:
        def run() -> T:
            with self.client(token) as client:
                return question(client)

        return await asyncio.to_thread(run)

    async def refusal(self, question: Callable[[ControlClient], object], token: str = "admin-token") -> ControlError:
        with pytest.raises(ControlError) as caught:
            await self.ask(question, token)
        return caught.value

    async def put(self, sender: str = SENDER, *, is_held: bool = False, **more: Any) -> str:
        """Spool one message with two recipients; `more` are fields of SpooledMessage."""
        number = self.spool.reserve(2)
        message = SpooledMessage(
            number,
            self.spool.message_id(number),
            2,
            sender.split("|")[0],
            more.pop("reseller", ""),
            sender,
            "a@acme.example",
            self.clock.now(),
            Flags.NONE,
            b"",
            **({"subject": "Cheap pills"} | more),
        )
        record = Reception(
            **self.journal.stamp(),
            message_id=message.message_id,
            account=message.account,
            sender=sender,
            sender_kind="script",
            mail_from=message.mail_from,
            client_ip="192.0.2.1",
            action=Action.HOLD if is_held else Action.ACCEPT,
            rule="test",
            received_at=self.clock.now(),
        )
        await self.spool.store(message, b"x\r\n", ["one@b.example", "two@b.example"], record, is_held=is_held)
        return message.message_id

    def journaled(self) -> list[Record]:
        """What the journal has, after it was closed."""
        self.journal.close()
        return journaled(self.folder, Record)


async def reload(dry_run: bool) -> Reloaded:
    return Reloaded(taken_up=["limits.rcpts_per_hour"], needs_restart=[], model="none", dry_run=dry_run)


@asynccontextmanager
async def opened(tmp_path: Path, hourly: int = 0) -> AsyncIterator[Room]:
    clock, folder = SteppedClock(START), tmp_path / "journal"
    state = await opened_state(tmp_path, clock)
    journal, signals = Journal(folder, "relay", "mw1", clock), Signals()
    journal.start()
    spool = Spool(tmp_path / "spool", "mw1", journal, lambda error: None, clock=clock)
    spool.start()
    courier = Courier(
        spool=spool,
        journal=journal,
        settings=Settings(dir=tmp_path),
        clock=clock,
        on_outcome=lambda recipient, record: None,
        submit_dsn=_no_dsn,
        audience=lambda message: addressee(message.mail_from, message.sender, None, is_stopped=False),
    )
    shaper = Shaper(load_providers(None, Delivery()))
    egress = Egress("relay.example")
    state.egress.feed(egress)
    commands = Commands(
        state=state,
        spool=spool,
        courier=courier,
        journal=journal,
        signals=signals,
        shaping=ShapingDesk(state, clock, shaper, courier.stats),
        clock=clock,
        hourly_of=lambda account, sender: hourly,
        policy=Policy,
        egress=egress,
    )
    house = House(lambda: {"node": "mw1"}, lambda: b"mailweir_up 1\n", list, reload)
    app = build_app(commands, state, house, PRINCIPALS)
    async with serve(app, "127.0.0.1", 0) as port:
        room = Room(state, spool, journal, signals, clock, commands, egress, folder, port, shaper, courier)
        await room.ask(lambda client: client.add_account(NewAccount(name="acme")))
        yield room
    await spool.stop()
    await state.close()
    if journal._thread.is_alive():
        journal.close()


async def _no_dsn(*_: object) -> None: ...


def with_room(tmp_path: Path, work: Callable[[Room], Coroutine[Any, Any, None]], hourly: int = 0) -> None:
    """`hourly`: recipients an hour that every sender may have; 0: no limit."""

    async def run() -> None:
        async with opened(tmp_path, hourly) as room:
            await work(room)

    asyncio.run(run())


def test_a_hold_parks_what_is_spooled_and_a_release_frees_it(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        message, other = await room.put(), await room.put(OTHER)

        stopped = await room.ask(lambda relay: relay.hold_sender(SENDER, HoldOrder(reason="phish", minutes=30)))
        held = await room.ask(lambda relay: relay.held(sender=SENDER))
        assert room.state.state_of(SENDER, room.clock.now()).standing is Standing.HELD
        assert room.state.state_of(OTHER, room.clock.now()).standing is Standing.OK
        assert (stopped.messages, stopped.decision.held, stopped.decision.author) == (1, 1, "admin")
        assert stopped.decision.ends_at == START + timedelta(minutes=30)
        assert [(view.message_id, view.decision_id, len(view.recipients)) for view in held] == [(message, "mw1-d1", 2)]

        freed = await room.ask(lambda relay: relay.release_decision("mw1-d1", ReleaseOrder(note="a drill")))
        assert (freed.messages, freed.recipients, freed.decisions) == (1, 2, ["mw1-d1"])
        assert room.state.state_of(SENDER, room.clock.now()).standing is Standing.OK
        assert await room.ask(lambda relay: relay.held()) == []
        kinds = [
            (type(record).__name__, getattr(record, "message_id", "")) for record in room.journaled() if record.seq > 2
        ]
        assert kinds == [("DecisionLogged", ""), ("Held", message), ("DecisionLogged", ""), ("Released", message)]
        assert other not in [view.message_id for view in held]

    with_room(tmp_path, work)


def test_releasing_twice_changes_nothing(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.put()
        await room.ask(lambda relay: relay.hold_sender(SENDER))
        await room.ask(lambda relay: relay.release_sender(SENDER))

        again = await room.ask(lambda relay: relay.release_sender(SENDER))

        assert (again.messages, again.decisions) == (0, [])
        assert len(room.state.decisions()) == 2

    with_room(tmp_path, work)


@pytest.mark.parametrize("verdict", ["release", "not_spam"])
def test_a_release_forgives_the_sender(verdict: Literal["release", "not_spam"], tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        for _ in range(7):
            room.signals.observe(SENDER, 0.97, room.clock.unix(), Policy())
        await room.ask(lambda relay: relay.hold_sender(SENDER))
        await room.ask(lambda relay: relay.release_sender(SENDER, ReleaseOrder(verdict=verdict)))

        seen = room.signals.state(SENDER, room.clock.unix(), Policy())
        assert seen is not None
        assert seen.spam_count == 0

    with_room(tmp_path, work)


def test_an_automatic_decision_is_in_force_at_once_and_parks(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        message = await room.put()
        proposal = Proposal("relay", "acme", SENDER, Effect.HOLD, "spam_rate", "7 of 7 spam", START)

        applying = asyncio.ensure_future(room.commands.apply([proposal]))
        await asyncio.sleep(0)
        assert room.state.state_of(SENDER, room.clock.now()).standing is Standing.HELD
        decision = await applying

        assert decision.id == "mw1-d1"
        assert [held.message_id for held in room.spool.held(SENDER)] == [message]
        assert (await room.ask(lambda relay: relay.audit()))[0].principal == "relay"

    with_room(tmp_path, work)


def test_a_confirmed_hold_stays_until_it_is_released(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.ask(lambda relay: relay.hold_sender(SENDER, HoldOrder(minutes=30)))
        confirmed = await room.ask(lambda relay: relay.confirm("mw1-d1", ConfirmOrder(note="seen it")), "abuse-token")
        await room.ask(lambda relay: relay.confirm("mw1-d1"))  # a second click
        room.clock.advance(24 * 3600)

        assert (confirmed.confirmed_by, confirmed.ends_at, confirmed.is_open) == ("dashboard", None, True)
        assert "until a person releases it" in confirmed.sentence
        assert room.state.state_of(SENDER, room.clock.now()).standing is Standing.HELD
        await room.ask(lambda relay: relay.release_decision("mw1-d1"))
        view = await room.ask(lambda relay: relay.decision("mw1-d1"))
        assert room.state.state_of(SENDER, room.clock.now()).standing is Standing.OK
        assert (view.is_open, view.released_by, view.undo) == (False, "admin", "")
        assert (await room.refusal(lambda relay: relay.confirm("mw1-d1"))).status == 409
        assert [row.proposal.effect for row in room.state.decisions()] == [Effect.RELEASE, Effect.CONFIRM, Effect.HOLD]

    with_room(tmp_path, work)


def test_analytics_multiplies_a_limit_under_its_own_name(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        new = NewDecision(
            account="acme",
            sender=SENDER,
            effect=Effect.MULTIPLY,
            rule="reputation_band",
            reason="band poor",
            value=0.25,
        )

        enacted = await room.ask(lambda relay: relay.propose(new), "operator-token")

        assert (enacted.decision.author, enacted.decision.is_open, enacted.messages) == ("analytics", True, 0)
        assert room.state.state_of(SENDER, room.clock.now()).multiplier == 0.25
        assert room.state.state_of(SENDER, room.clock.now()).standing is Standing.OK
        again = await room.ask(lambda relay: relay.propose(msgspec.structs.replace(new, value=0.5)), "operator-token")
        open_now = await room.ask(lambda relay: relay.decisions(open_only=True))
        assert [view.id for view in open_now] == [again.decision.id]
        freed = await room.ask(lambda relay: relay.release_sender(SENDER))
        assert len(freed.decisions) == 2
        assert room.state.state_of(SENDER, room.clock.now()).multiplier == 1.0

    with_room(tmp_path, work)


def test_single_messages_are_released_and_dropped_and_the_sender_stays_held(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        first, second = await room.put(), await room.put()
        await room.ask(lambda relay: relay.hold_sender(SENDER))

        freed = await room.ask(lambda relay: relay.release_held(ReleaseOrder(message_ids=[first], verdict="not_spam")))
        removed = await room.ask(lambda relay: relay.drop_held(DropOrder(message_ids=[second], reason="phish")))

        assert (freed.messages, removed.messages, removed.recipients) == (1, 1, 2)
        assert room.spool.held() == []
        assert room.spool.counts().messages == 1
        assert room.state.state_of(SENDER, room.clock.now()).standing is Standing.HELD
        missing = await room.refusal(lambda relay: relay.drop_held(DropOrder(message_ids=[second])))
        assert (missing.status, missing.detail) == (404, f"not held (any more): {second}")
        commands = [entry.command for entry in await room.ask(lambda relay: relay.audit())]
        assert commands[:2] == ["held.drop", "held.release"]

    with_room(tmp_path, work)


def test_a_message_held_for_its_own_content_is_released_with_its_sender(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        message = await room.put(is_held=True)
        assert (await room.ask(lambda relay: relay.message(message))).decision_id == ""

        freed = await room.ask(lambda relay: relay.release_held(ReleaseOrder(sender=SENDER)))

        assert (freed.messages, freed.decisions) == (1, [])
        assert (await room.refusal(lambda relay: relay.message(message))).status == 404

    with_room(tmp_path, work)


def test_a_dry_run_says_what_would_happen_and_changes_nothing(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.put()
        stopped = await room.ask(lambda relay: relay.hold_sender(SENDER, HoldOrder(dry_run=True)))
        assert (stopped.dry_run, stopped.decision.effect) == (True, Effect.HOLD)
        assert room.state.decisions() == []
        await room.ask(lambda relay: relay.hold_sender(SENDER, HoldOrder(minutes=5)))
        before = await room.ask(lambda relay: relay.audit())

        freed = await room.ask(lambda relay: relay.release_decision("mw1-d1", ReleaseOrder(dry_run=True)))
        held = [message.message_id for message in room.spool.held()]
        removed = await room.ask(lambda relay: relay.drop_held(DropOrder(message_ids=held, dry_run=True)))
        view = await room.ask(lambda relay: relay.confirm("mw1-d1", ConfirmOrder(dry_run=True)))
        await room.ask(lambda relay: relay.add_credential("acme", NewCredential(login="web1", dry_run=True)))
        await room.ask(lambda relay: relay.allow("acme", NewNetwork(network="192.0.2.0/24", dry_run=True)))

        assert (freed.messages, freed.decisions, freed.dry_run) == (1, ["mw1-d1"], True)
        assert (removed.messages, view.confirmed_by) == (1, "")
        assert room.state.state_of(SENDER, room.clock.now()).standing is Standing.HELD
        assert len(room.spool.held()) == 1
        assert (room.state.credentials, room.state.networks) == ({}, [])
        assert await room.ask(lambda relay: relay.audit()) == before

    with_room(tmp_path, work)


@pytest.mark.parametrize(
    ("token", "allowed"),
    [
        ("viewer-token", set()),
        ("abuse-token", {"hold", "drop", "audit"}),
        ("operator-token", {"hold", "drop", "multiply", "audit"}),
    ],
)
def test_each_role_may_do_what_is_its_own_and_no_more(tmp_path: Path, token: str, allowed: set[str]) -> None:
    multiply = NewDecision(account="acme", sender=SENDER, effect=Effect.MULTIPLY, rule="r", reason="r", value=0.5)
    actions: dict[str, Callable[[ControlClient], object]] = {
        "hold": lambda relay: relay.hold_sender(SENDER),
        "drop": lambda relay: relay.drop_held(DropOrder(message_ids=[])),
        "multiply": lambda relay: relay.propose(multiply),
        "audit": lambda relay: relay.audit(),
        "account": lambda relay: relay.add_account(NewAccount(name="new")),
        "login": lambda relay: relay.add_credential("acme", NewCredential(login="web1")),
        "network": lambda relay: relay.allow("acme", NewNetwork(network="192.0.2.0/24")),
    }

    async def work(room: Room) -> None:
        for name, action in actions.items():
            if name in allowed:
                await room.ask(action, token)
            else:
                assert (await room.refusal(action, token)).status == 403, name
        await room.ask(lambda relay: relay.decisions(), token)
        await room.ask(lambda relay: relay.sender(SENDER), token)

    with_room(tmp_path, work)


def test_a_reseller_sees_and_touches_its_own_accounts_only(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.ask(lambda relay: relay.add_account(NewAccount(name="shop", reseller="isp")))
        own = "shop|mailfrom|a@shop.example"
        await room.put()
        await room.ask(lambda relay: relay.hold_sender(SENDER))
        held = room.spool.held()[0].message_id

        async def as_reseller(question: Callable[[ControlClient], T]) -> T:
            return await room.ask(question, "reseller-token")

        assert [view.name for view in await as_reseller(lambda relay: relay.accounts())] == ["shop"]
        assert await as_reseller(lambda relay: relay.decisions()) == []
        assert await as_reseller(lambda relay: relay.held()) == []
        assert {entry.account for entry in await as_reseller(lambda relay: relay.audit())} == {"shop"}
        assert (await as_reseller(lambda relay: relay.hold_sender(own))).decision.reseller == "isp"
        hidden: list[Callable[[ControlClient], object]] = [
            lambda relay: relay.account("acme"),
            lambda relay: relay.sender(SENDER),
            lambda relay: relay.hold_sender(SENDER),
            lambda relay: relay.release_sender(SENDER),
            lambda relay: relay.decision("mw1-d1"),
            lambda relay: relay.release_decision("mw1-d1"),
            lambda relay: relay.confirm("mw1-d1"),
            lambda relay: relay.drop_held(DropOrder(message_ids=[held])),
            lambda relay: relay.release_held(ReleaseOrder(message_ids=[held])),
            lambda relay: relay.add_credential("acme", NewCredential(login="x")),
            lambda relay: relay.add_account(NewAccount(name="new")),
            lambda relay: relay.queue(),
        ]
        for question in hidden:
            assert (await room.refusal(question, "reseller-token")).status == 404

    with_room(tmp_path, work)


def test_every_refusal_is_a_problem_document(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        cases: list[tuple[str, str, str, bytes, int, str]] = [
            ("GET", "/v1/status", "wrong", b"", 401, "tokens/admin.token"),
            ("GET", "/v1/status", "", b"", 401, "no token"),
            ("GET", "/v1/decisions/mw1-d9", "admin-token", b"", 404, "'mw1-d9'"),
            ("GET", "/v1/senders/nobody", "admin-token", b"", 404, "account|kind|value"),
            ("GET", "/v1/nothing", "admin-token", b"", 404, "GET /v1/nothing"),
            ("DELETE", "/v1/held", "admin-token", b"", 405, ""),
            ("GET", "/v1/held?limit=many", "admin-token", b"", 422, "limit = 'many'"),
            ("POST", "/v1/accounts", "admin-token", b"{", 422, "JSON"),
            ("POST", "/v1/accounts", "admin-token", b'{"name": 5}', 422, "$.name"),
            ("POST", "/v1/accounts", "admin-token", b'{"name": "x", "nmae": ""}', 422, "nmae"),
            ("POST", "/v1/accounts", "admin-token", b'{"name": "acme"}', 409, "'acme'"),
            ("POST", "/v1/accounts", "admin-token", b" " * 1_100_000, 413, "1048576"),
            ("POST", "/v1/held/release", "admin-token", b"{}", 422, "sender"),
            ("POST", "/v1/accounts", "abuse-token", b'{"name": "x"}', 403, "needs admin"),
        ]
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{room.port}", trust_env=False) as client:
            for method, path, token, body, status, text in cases:
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                answer = await client.request(method, path, headers=headers, content=body)
                problem = msgspec.json.decode(answer.content, type=Problem)
                assert (answer.status_code, problem.status) == (status, status), path
                assert answer.headers["content-type"] == "application/problem+json"
                assert text in problem.detail
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/metrics")).content == b"mailweir_up 1\n"

    with_room(tmp_path, work)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"value": 4.5}, "between 0 and 4"),
        ({"value": None}, "between 0 and 4"),
        ({"effect": Effect.RELEASE}, "/release"),
        ({"account": "other"}, "belongs to 'acme'"),
        ({"ends_at": datetime(2026, 11, 25)}, "time zone"),
    ],
)
def test_an_impossible_decision_is_refused(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    new = NewDecision(account="acme", sender=SENDER, effect=Effect.MULTIPLY, rule="r", reason="r", value=0.5)

    async def work(room: Room) -> None:
        refusal = await room.refusal(lambda relay: relay.propose(msgspec.structs.replace(new, **change)))
        assert refusal.status == 422
        assert text in refusal.detail
        assert room.state.decisions() == []

    with_room(tmp_path, work)


def test_outcomes_reach_the_signals(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.ask(lambda relay: relay.outcome(Outcome(kind="complaint", sender=SENDER)), "operator-token")

        seen = room.signals.state(SENDER, room.clock.unix(), Policy())
        assert seen is not None
        assert seen.complaints == 1

    with_room(tmp_path, work)


def test_the_queue_is_counted_by_destination(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.put()

        queue = await room.ask(lambda relay: relay.queue(), "viewer-token")

        assert (queue["counts"]["messages"], queue["counts"]["recipients"]) == (1, 2)
        (row,) = queue["destinations"]
        assert (row["destination"], row["waiting"], row["site"]) == ("b.example", 2, "")
        assert row["oldest_unix"] == room.clock.unix()

    with_room(tmp_path, work)


def test_a_relay_that_is_not_there_is_told_as_such() -> None:
    with ControlClient("http://127.0.0.1:1", "token") as client, pytest.raises(ControlUnreachable, match="mailweir up"):
        client.status()


def _newcomers(*names: str) -> list[str]:
    return [f"acme|x-authuser|{name}" for name in names]


def test_a_hold_of_the_newcomers_parks_theirs_and_a_release_frees_exactly_that(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        new, vouched, hijacked, old = _newcomers("new", "vouched", "hijacked", "old")
        group = "acme|newcomers|"
        room.signals.observe(old, 0.1, room.clock.unix() - 90_000, Policy(), group=group)
        for sender in (new, vouched, hijacked, old):
            room.signals.observe(sender, 0.1, room.clock.unix(), Policy(), group=group)
        await room.ask(lambda relay: relay.release_sender(vouched))
        await room.ask(lambda relay: relay.hold_sender(vouched))
        await room.ask(lambda relay: relay.release_sender(vouched))
        queued = {sender: await room.put(sender) for sender in (new, vouched, hijacked, old)}
        by_content = await room.put(new, is_held=True)

        stopped = await room.ask(lambda relay: relay.hold_sender(group, HoldOrder(reason="a drill")))
        await room.ask(lambda relay: relay.hold_sender(hijacked))
        under = {view.message_id: view for view in await room.ask(lambda relay: relay.held(sender=group))}
        assert set(under) == {queued[new], queued[hijacked]}
        assert under[queued[new]].sender == new
        assert under[queued[new]].decision_id == stopped.decision.id
        assert (stopped.messages, stopped.decision.held) == (2, 2)

        would = await room.ask(lambda relay: relay.release_sender(group, ReleaseOrder(dry_run=True)))
        freed = await room.ask(lambda relay: relay.release_sender(group))
        left = {view.message_id for view in await room.ask(lambda relay: relay.held())}
        assert (would.messages, freed.messages, freed.decisions) == (1, 1, [stopped.decision.id])
        assert left == {queued[hijacked], by_content}

        await room.ask(lambda relay: relay.release_sender(hijacked))
        assert [view.message_id for view in await room.ask(lambda relay: relay.held())] == [by_content]

    with_room(tmp_path, work)


def test_who_is_held_leaves_the_newcomers_at_once(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        group = "acme|newcomers|"
        for sender in (SENDER, *_newcomers("b", "c")):
            room.signals.observe(sender, 0.97, room.clock.unix(), Policy(), group=group)

        await room.ask(lambda relay: relay.hold_sender(SENDER))

        assert room.signals.group(group, room.clock.unix(), Policy()).senders == tuple(_newcomers("b", "c"))

    with_room(tmp_path, work)


def test_only_operators_of_the_whole_relay_may_reload(tmp_path: Path) -> None:
    answers: list[tuple[Reloaded, list[int]]] = []

    async def story(room: Room) -> None:
        done = await room.ask(lambda client: client.reload(ReloadOrder(dry_run=True)), "operator-token")
        refused = [
            await room.refusal(lambda client: client.reload(ReloadOrder()), token)
            for token in ("abuse-token", "reseller-token")
        ]
        answers.append((done, [error.status for error in refused]))

    with_room(tmp_path, story)

    done = Reloaded(taken_up=["limits.rcpts_per_hour"], needs_restart=[], model="none", dry_run=True)
    assert answers == [(done, [403, 403])]
