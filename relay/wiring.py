"""Puts the parts of one relay together: what owns files, threads or processes, and what holds none of its own."""

import contextlib
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.routing import Route

import relay
from relay.admission import Gate
from relay.audience import Audience
from relay.clock import Clock
from relay.content.bare import BareContent
from relay.content.protocol import Signer
from relay.content.stage import content_stage
from relay.content.workers import ContentPool
from relay.control.checks import checked_network
from relay.control.commands import Commands
from relay.control.errors import Invalid, StateFailure
from relay.control.shaping_calls import ShapingDesk
from relay.control.state import State
from relay.delivery.courier import Courier
from relay.delivery.egress.egress import Egress
from relay.delivery.shaping.providers import load_providers
from relay.delivery.shaping.shaper import Shaper
from relay.delivery.signing.arc_keys import ArcKeys
from relay.delivery.tls.memory import TlsMemory
from relay.delivery.workshop import Ways
from relay.digest import Digests
from relay.domains.desk import DomainDesk
from relay.domains.wiring import make_desk
from relay.events import AuthFailure
from relay.feedback import FeedbackHeaders
from relay.front.auth import Authenticator
from relay.front.doorway import Doorway
from relay.front.entrances import entrances
from relay.front.inbox import inbox_doors
from relay.front.lockdown import Lockdown
from relay.front.server import Doors
from relay.front.tls import ensure_certificate
from relay.front.web import PublicWeb
from relay.front.web_messages import Messages
from relay.inbound import Returns
from relay.metrics import Metrics
from relay.misconfigured import DAY_SECONDS, Misconfigured
from relay.observed import count, outcome_counter, show_gauges
from relay.policy.counters import Counters, Table
from relay.policy.ledger import KEPT_SECONDS, LONGEST_DELAY_SECONDS, Ledger
from relay.policy.signals import Signals
from relay.reception import Receiver
from relay.refusals import Refusals
from relay.reporting import Reporting
from relay.return_paths import ReturnPaths
from relay.secret import node_secret
from relay.settings import Settings
from relay.spool.journal import Journal
from relay.spool.store import Spool
from relay.unsubscribing import Unsubscribing

_log = logging.getLogger("mailweir.node")
_messages = logging.getLogger("mailweir.messages")

_TROUBLE_SECONDS = 10.0  # a balancer that is told so sends no mail, and only mail shows that it is over
_FREE_BYTES = 4 * 1024 * 1024  # below, a disk is called full before the next message finds out
_SENDERS = 100_000  # whose signals are in memory
_SIGNALS_KEPT_SECONDS = 90 * 86_400.0  # as long as analytics keeps messages
_LOCKS_KEPT_SECONDS = 86_400.0  # an address is trusted for so long after a login
_SHAPING_KEPT_SECONDS = 10 * 365 * 86_400.0  # an operator's suspension has no other end than his own word
_WARMUP_KEPT_SECONDS = 400 * 86_400.0  # a plan may wait longer than its source may be idle
_REST_KEPT_SECONDS = 7 * 86_400.0  # the longest rest, and the clean day after it


class StartFailure(Exception):
    """The relay cannot start; the text says what is wrong and what to do."""


@dataclass(slots=True)
class Core:
    """What owns files, threads or processes; started before and stopped after everything else.

    Only `settings` is ever replaced, by a reload.
    """

    settings: Settings
    clock: Clock
    state: State
    spool: Spool
    journal: Journal
    authenticator: Authenticator
    signals: Signals
    ledger: Ledger
    shaper: Shaper
    misconfigured: Misconfigured
    egress: Egress
    content: ContentPool | BareContent
    signers: list[Signer]
    secret: bytes
    paths: ReturnPaths
    tls: TlsMemory


@dataclass(frozen=True, slots=True)
class Parts:
    """A running relay."""

    core: Core
    started_at: datetime
    courier: Courier
    digests: Digests
    receiver: Receiver
    doors: Doors
    inbox: Doors
    returns: Returns
    messages: Messages
    web: PublicWeb
    metrics: Metrics
    commands: Commands
    domains: DomainDesk

    def troubles(self) -> list[str]:
        """Why this relay takes no mail, or does not look into it; [] when all is well. For /healthz."""
        settings, found = self.core.settings, []
        failed_at = self.core.spool.counts().failed_at
        if failed_at and time.monotonic() - failed_at < _TROUBLE_SECONDS:
            found.append("the spool cannot store mail; the log says why")
        if shutil.disk_usage(settings.dir).free < _FREE_BYTES:
            found.append(f"the disk of {settings.dir} is full")
        if isinstance(self.core.content, ContentPool) and not self.core.content.stats().workers:
            found.append("no content worker")
        return found

    def status(self) -> dict[str, Any]:
        """What GET /v1/status shows."""
        settings = self.core.settings
        return {
            "node": settings.node.name,
            "version": relay.__version__,
            "demo": settings.demo,
            "pid": os.getpid(),
            "started_at": self.started_at,
            "smtp": [entrance.address for entrance in entrances(settings.smtp) if not entrance.is_inbox],
            "inbox": settings.smtp.inbox_listen,
            "sessions": self.doors.sessions,
            "spool": self.core.spool.counts(),
            "content": self.core.content.stats(),
            "model": settings.content.model,
            "senders_known": len(self.core.signals),
        }


async def start_core(
    settings: Settings, clock: Clock, fail: Callable[[BaseException], None], stack: contextlib.AsyncExitStack
) -> Core:
    """Start what must run before everything else; `stack` stops it again.

    Raises StartFailure, ModelError, SettingsError, OSError.
    """
    shaper = Shaper(load_providers(settings.delivery.providers, settings.delivery))
    journal = Journal(settings.journal_dir, "relay", settings.node.name, clock)
    journal.start()
    stack.callback(journal.close)
    state = await _state(settings, clock)
    stack.push_async_callback(state.close)
    _refuse_open_relay(state)
    spool = _spool(settings, clock, journal, fail)
    stack.push_async_callback(spool.stop)
    keys = await state.verp_keys(timedelta(days=settings.verp.rotate_days))
    secret = node_secret(settings.dir / "secret.key")
    authenticator = Authenticator(state.credentials, clock, secret=secret, on_success=state.note_use)
    stack.callback(authenticator.close)
    signals, ledger, tls = Signals(_SENDERS), Ledger(), TlsMemory()
    egress = Egress(settings.node.hostname)
    state.egress.feed(egress)
    misconfigured = Misconfigured(journal)
    await _remember(
        settings,
        clock,
        stack,
        Table("signal", signals, _SIGNALS_KEPT_SECONDS, _SENDERS),
        Table("usage", ledger, KEPT_SECONDS),
        Table("lockout", authenticator.lockout, _LOCKS_KEPT_SECONDS),
        Table("shaping", shaper, _SHAPING_KEPT_SECONDS),
        Table("misconfigured", misconfigured, DAY_SECONDS),
        Table("warmup", egress.warmup, _WARMUP_KEPT_SECONDS),
        Table("ip_state", egress.ip_states, _REST_KEPT_SECONDS),
        *tls.tables(),
    )
    content, signers = content_stage(settings, state.book)
    await content.start()
    stack.push_async_callback(content.stop)
    return Core(
        settings=settings,
        clock=clock,
        state=state,
        spool=spool,
        journal=journal,
        authenticator=authenticator,
        signals=signals,
        ledger=ledger,
        shaper=shaper,
        misconfigured=misconfigured,
        egress=egress,
        content=content,
        signers=signers,
        secret=secret,
        paths=ReturnPaths(settings, clock, keys, state.book.domain),
        tls=tls,
    )


async def _state(settings: Settings, clock: Clock) -> State:
    try:
        return await State.open(f"sqlite:///{settings.dir / 'state.sqlite'}", settings.node.name, clock)
    except (StateFailure, sqlite3.Error) as error:
        raise StartFailure(f"{settings.dir}/state.sqlite: {error}") from error


def _spool(settings: Settings, clock: Clock, journal: Journal, fail: Callable[[BaseException], None]) -> Spool:
    wait = max(settings.delivery.max_retry_seconds, LONGEST_DELAY_SECONDS)
    try:
        spool = Spool(settings.dir / "spool", settings.node.name, journal, fail, clock=clock, longest_wait_seconds=wait)
        spool.start()
    except sqlite3.Error as error:
        raise StartFailure(
            f"{settings.dir}/spool/index.sqlite cannot be used: {error}. Nothing in {settings.dir}/spool was changed; "
            "put a copy of the file back, or move the folder away to start with an empty one"
        ) from error
    return spool


async def _remember(settings: Settings, clock: Clock, stack: contextlib.AsyncExitStack, *tables: Table) -> None:
    counters = Counters(settings.dir / "counters.sqlite", tables, clock)
    await counters.start()
    stack.push_async_callback(counters.stop)


def _refuse_open_relay(state: State) -> None:
    """The commands let no such network in; a row that was written past them must not make an open relay."""
    for allowed in state.allowlist:
        try:
            checked_network(str(allowed.network))
        except Invalid as error:
            raise StartFailure(
                f"the network {allowed.network} of account {allowed.account!r}: {error}. Take it out of table network "
                "of state.sqlite"
            ) from error


def wire(core: Core) -> Parts:
    """Put together what holds no resource of its own."""
    settings, clock, state, journal = core.settings, core.clock, core.state, core.journal
    metrics = Metrics()
    courier = Courier(
        spool=core.spool,
        journal=journal,
        settings=settings,
        clock=clock,
        on_outcome=outcome_counter(metrics, core),
        submit_dsn=lambda report, to, about: reporting.submit(report, to, about),
        audience=Audience(state, core.signals, clock).of,
        pauses=state.pauses,
        ways=Ways(core.shaper, core.egress, core.paths.of, core.tls),
    )
    reporting = Reporting(settings=settings, clock=clock, journal=journal, spool=core.spool, courier=courier)
    digests = Digests(
        spool=core.spool,
        settings=settings,
        clock=clock,
        account_of=state.account_of_name,
        submit=reporting.submit_digest,
    )
    commands = _commands(core, courier)
    gate, feedback = _gate(core), FeedbackHeaders(settings, core.secret)
    receiver = Receiver(
        settings=settings,
        clock=clock,
        journal=journal,
        spool=core.spool,
        content=core.content,
        courier=courier,
        gate=gate,
        signals=core.signals,
        lockdown=Lockdown(settings, clock),
        state_of=state.state_of,
        decide=commands.apply,
        signers=core.signers,
        arc=ArcKeys(settings.delivery, clock, core.signers[0] if core.signers else None),
        reference_key=core.secret,
        return_domain_of=core.paths.domain_for,
        feedback=feedback,
        metrics=metrics,
    )
    way = _doorway(core, receiver, gate, metrics)
    domains = make_desk(state, clock, lambda: core.settings)
    returns = Returns(
        settings, clock, journal, core.spool, reporting, paths=core.paths, state_of=state.state_of, metrics=metrics
    )
    way_in = Doors(way), inbox_doors(way, settings, returns), returns, *_web(core, way, feedback, metrics)
    parts = Parts(core, clock.now(), courier, digests, receiver, *way_in, metrics, commands, domains)
    show_gauges(parts)
    count(parts)
    commands.shaping.on_changed = state.egress.on_changed = courier.look_again
    return parts


def _commands(core: Core, courier: Courier) -> Commands:
    return Commands(
        state=core.state,
        spool=core.spool,
        courier=courier,
        journal=core.journal,
        signals=core.signals,
        shaping=ShapingDesk(core.state, core.clock, core.shaper, courier.stats),
        clock=core.clock,
        egress=core.egress,
    )


def _web(core: Core, way: Doorway, feedback: FeedbackHeaders, metrics: Metrics) -> tuple[Messages, PublicWeb]:
    web = core.settings.web
    messages = Messages(way, web, core.spool.answered)
    unsubscribing = Unsubscribing(core.state, core.journal, metrics, feedback.tokens, core.clock)
    routes = [Route("/v1/messages", messages.post, methods=["POST"])]
    routes += unsubscribing.pages(web.trusted_proxies).routes()
    return messages, PublicWeb(core.settings, routes, way.tls if web.tls else None)


def _gate(core: Core) -> Gate:
    state, signals, clock, policy = core.state, core.signals, core.clock, core.settings.policy

    def age_of(sender: str, now_unix: float) -> float:
        known = signals.state(sender, now_unix, policy)
        return now_unix - known.first_seen_unix if known else 0.0

    return Gate(
        settings=core.settings.limits,
        clock=clock,
        ledger=core.ledger,
        sets=state.limits,
        state_of=state.state_of,
        is_newcomer=signals.is_newcomer,
        age_of=age_of,
        key=core.secret,
    )


def _doorway(core: Core, receiver: Receiver, gate: Gate, metrics: Metrics) -> Doorway:
    settings, state, journal = core.settings, core.state, core.journal
    authenticator = core.authenticator

    def on_auth_failure(client_ip: str, login: bytes, mechanism: str) -> None:
        metrics.auth_failures.inc()
        _log.info("login refused client=%s mechanism=%s", client_ip, mechanism)  # its text may be a password
        hashed = authenticator.login_hash(login)
        journal.append(AuthFailure(**journal.stamp(), client_ip=client_ip, login_hash=hashed, mechanism=mechanism))

    return Doorway(
        settings=settings.smtp,
        hostname=settings.node.hostname,
        clock=core.clock,
        tls=ensure_certificate(
            settings.smtp.tls_certificate, settings.smtp.tls_key, settings.dir / "tls", settings.node.hostname
        ),
        authenticator=authenticator,
        account_of_ip=state.account_of_ip,
        account_of_name=state.account_of_name,
        credential_of=state.credentials.get,
        is_trusted=authenticator.is_trusted,
        receive=receiver.receive,
        open_large=core.spool.open_large,
        on_refusal=Refusals(journal, metrics, demo=settings.demo).note,
        on_auth_failure=on_auth_failure,
        admit=gate.admit,
        is_limited=gate.is_limited,
        suppressed=state.suppression.find,
    )
