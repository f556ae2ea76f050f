"""The composition root: wires one relay, starts it, stops it. The only place where a Clock is made."""

import asyncio
import contextlib
import logging
import os
import resource
import secrets
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.routing import Route

import relay
from relay.clock import Clock, SystemClock
from relay.content.bare import BareContent
from relay.content.protocol import Signer
from relay.content.workers import ContentPool, ModelError
from relay.control import tokens
from relay.control.api import build_app, serve
from relay.control.commands import Commands
from relay.control.errors import StateFailure
from relay.control.lock import AlreadyRunning, acquire
from relay.control.state import State
from relay.delivery.courier import Courier
from relay.delivery.dkim import ensure_key
from relay.events import AuthFailure, Bounce, Delivery, Record
from relay.front.auth import Authenticator
from relay.front.doorway import Doorway
from relay.front.entrances import entrances, inherited_sockets
from relay.front.lockdown import Lockdown
from relay.front.server import Doors
from relay.front.tls import CertificateWatch, ensure_certificate
from relay.front.web import PublicWeb
from relay.front.web_messages import Messages
from relay.metrics import Metrics
from relay.policy.counters import Counters
from relay.policy.limits import SlidingLimits
from relay.policy.signals import Signals
from relay.reception import Receiver
from relay.refusals import Refusals
from relay.settings import Settings, SettingsError, split_listen
from relay.spool.journal import Journal
from relay.spool.store import Spool, SpooledRecipient

_log = logging.getLogger("mailweir.node")

_SECRET_BYTES = 32
_CERTIFICATE_SECONDS = 5.0  # a new certificate is looked for


class StartFailure(Exception):
    """The relay cannot start; the text says what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class _Core:
    """What owns files, threads or processes; started before and stopped after everything else."""

    settings: Settings
    clock: Clock
    state: State
    spool: Spool
    journal: Journal
    signals: Signals
    content: ContentPool | BareContent
    signers: list[Signer]
    stack: contextlib.AsyncExitStack


@dataclass(frozen=True, slots=True)
class _Parts:
    """A running relay."""

    core: _Core
    started_at: datetime
    courier: Courier
    receiver: Receiver
    doors: Doors
    messages: Messages
    web: PublicWeb
    metrics: Metrics
    commands: Commands

    def status(self) -> dict[str, Any]:
        """What GET /v1/status shows."""
        settings = self.core.settings
        return {
            "node": settings.node.name,
            "version": relay.__version__,
            "demo": settings.demo,
            "pid": os.getpid(),
            "started_at": self.started_at,
            "smtp": [entrance.address for entrance in entrances(settings.smtp)],
            "sessions": self.doors.sessions,
            "spool": self.core.spool.counts(),
            "content": self.core.content.stats(),
            "model": settings.content.model,
            "senders_known": len(self.core.signals),
        }


def run(settings: Settings) -> int:
    """Run one relay until SIGTERM or SIGINT; return the exit status."""
    try:
        _prepare(settings)
        _allow_many_files()
        with acquire(settings.dir):
            asyncio.run(_run(settings))
    except (StartFailure, SettingsError, AlreadyRunning, ModelError) as error:
        print(f"mailweir relay: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # whatever is in its way in the data folder
        print(f"mailweir relay: {error.filename or settings.dir}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


async def _run(settings: Settings) -> None:
    ended = asyncio.Event()
    failures: list[BaseException] = []

    def fail(error: BaseException) -> None:
        failures.append(error)
        ended.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with _relay(settings, SystemClock(), fail) as parts:
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.create_task(_reload(parts)))
        _log.info("relay started node=%s pid=%d", settings.node.name, os.getpid())
        await ended.wait()
        _log.info("relay stopping sessions=%d", parts.doors.sessions)
    if failures:
        raise StartFailure(f"stopped, because mail could no longer be stored safely: {failures[0]}")


@contextlib.asynccontextmanager
async def _relay(settings: Settings, clock: Clock, fail: Callable[[BaseException], None]) -> AsyncIterator[_Parts]:
    """Start every part, in the order in which they need each other; stop them in the opposite one."""
    async with contextlib.AsyncExitStack() as stack:
        parts = _wire(await _start_core(settings, clock, fail, stack))
        _show_gauges(parts)
        await parts.courier.start()
        stack.push_async_callback(parts.courier.stop, settings.smtp.stop_seconds)
        stack.push_async_callback(parts.receiver.settle, settings.smtp.stop_seconds)
        await _open_doors(parts)
        if (certificate := settings.smtp.tls_certificate) is not None:
            watch = CertificateWatch(parts.doors.tls, certificate, settings.smtp.tls_key)
            watching = asyncio.create_task(_watch_certificate(watch, clock))
            stack.callback(watching.cancel)
        stack.push_async_callback(_close_doors, parts)
        await _open_web(parts)
        async with _control(parts):
            yield parts


async def _start_core(
    settings: Settings, clock: Clock, fail: Callable[[BaseException], None], stack: contextlib.AsyncExitStack
) -> _Core:
    journal = Journal(settings.journal_dir, "relay", settings.node.name, clock)
    journal.start()
    stack.callback(journal.close)
    try:
        state = await State.open(f"sqlite:///{settings.dir / 'state.sqlite'}", settings.node.name, clock)
    except (StateFailure, sqlite3.Error) as error:
        raise StartFailure(f"{settings.dir}/state.sqlite: {error}") from error
    stack.push_async_callback(state.close)
    wait = max(settings.delivery.max_retry_seconds, 3600.0)
    try:
        spool = Spool(settings.dir / "spool", settings.node.name, journal, fail, clock=clock, longest_wait_seconds=wait)
        spool.start()
    except sqlite3.Error as error:
        raise StartFailure(
            f"{settings.dir}/spool/index.sqlite cannot be used: {error}. Nothing in {settings.dir}/spool was changed; "
            "put a copy of the file back, or move the folder away to start with an empty one"
        ) from error
    stack.push_async_callback(spool.stop)
    signals = Signals()
    counters = Counters(settings.dir / "counters.sqlite", signals, clock)
    await counters.start()
    stack.push_async_callback(counters.stop)
    content, signers = _content(settings)
    await content.start()
    stack.push_async_callback(content.stop)
    return _Core(settings, clock, state, spool, journal, signals, content, signers, stack)


def _wire(core: _Core) -> _Parts:
    """Put together what holds no resource of its own."""
    settings, clock, state, journal = core.settings, core.clock, core.state, core.journal
    metrics, secret = Metrics(), _secret(settings.dir / "secret.key")
    courier = Courier(
        spool=core.spool,
        journal=journal,
        settings=settings,
        clock=clock,
        on_outcome=_outcome_counter(metrics, core.signals, clock),
        submit_dsn=lambda report, to, about: receiver.receive_report(report, to, about),
    )
    commands = Commands(
        state=state, spool=core.spool, courier=courier, journal=journal, signals=core.signals, clock=clock
    )
    receiver = Receiver(
        settings=settings,
        clock=clock,
        journal=journal,
        spool=core.spool,
        content=core.content,
        courier=courier,
        limits=SlidingLimits(),
        limit_sets=state.limits,
        signals=core.signals,
        lockdown=Lockdown(settings, clock),
        state_of=lambda sender: state.state_of(sender, clock.now()),
        decide=commands.apply,
        signers=core.signers,
        reference_key=secret,
        metrics=metrics,
    )
    way = _doorway(core, receiver, metrics, secret)
    messages = Messages(way, settings.web, core.spool.answered)
    routes = [Route("/v1/messages", messages.post, methods=["POST"])]
    web = PublicWeb(settings, routes, way.tls if settings.web.tls else None)
    return _Parts(core, clock.now(), courier, receiver, Doors(way), messages, web, metrics, commands)


async def _watch_certificate(watch: CertificateWatch, clock: Clock) -> None:
    while True:
        await clock.sleep(_CERTIFICATE_SECONDS)
        watch.refresh()


def _doorway(core: _Core, receiver: Receiver, metrics: Metrics, secret: bytes) -> Doorway:
    settings, state, journal = core.settings, core.state, core.journal
    authenticator = Authenticator(state.credentials, core.clock, secret=secret, on_success=state.note_use)
    core.stack.callback(authenticator.close)

    def on_auth_failure(client_ip: str, login: bytes, mechanism: str) -> None:
        metrics.auth_failures.inc()
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
    )


def _outcome_counter(metrics: Metrics, signals: Signals, clock: Clock) -> Callable[[SpooledRecipient, Record], None]:
    def count(recipient: SpooledRecipient, record: Record) -> None:
        metrics.outcomes.labels(type(record).__name__.lower()).inc()
        if isinstance(record, Delivery):
            metrics.delivery_seconds.observe(record.queued_seconds)
        elif isinstance(record, Bounce) and record.is_hard:
            signals.outcome(recipient.message.sender, "hard_bounce", clock.unix())

    return count


def _show_gauges(parts: _Parts) -> None:
    gauge, spool = parts.metrics.gauge, parts.core.spool
    gauge("sessions", "Open SMTP sessions", lambda: parts.doors.sessions)
    gauge("web_connections", "Open connections of the public web listener", lambda: parts.web.connections)
    parts.metrics.watch_spool(spool, parts.core.clock)
    spool.on_rescheduled(parts.courier.wake)
    gauge("content_queue", "Messages waiting for a content worker", lambda: parts.core.content.stats().queued)


async def _open_doors(parts: _Parts) -> None:
    opened = inherited_sockets()
    for entrance, sock in opened:
        await parts.doors.open(entrance, sock)
    if opened:
        return  # systemd says where to listen: the addresses of the settings are those for a start without it
    for entrance in entrances(parts.core.settings.smtp):
        try:
            await parts.doors.open(entrance)
        except OSError as error:
            raise StartFailure(
                f"cannot listen on {entrance.address}: {error.strerror or error}; see {entrance.key}"
            ) from error


async def _open_web(parts: _Parts) -> None:
    listen = parts.core.settings.web.listen
    try:
        if listen:
            await parts.web.open()
    except OSError as error:
        raise StartFailure(f"cannot listen on {listen}: {error.strerror or error}; see web.listen") from error


async def _close_doors(parts: _Parts) -> None:
    # together: each may take smtp.stop_seconds
    await asyncio.gather(parts.doors.close(parts.core.settings.smtp.stop_seconds), parts.web.close())
    await parts.messages.close()


@contextlib.asynccontextmanager
async def _control(parts: _Parts) -> AsyncIterator[None]:
    host, port = split_listen(parts.core.settings.control.listen)
    app = build_app(
        commands=parts.commands,
        state=parts.core.state,
        status=parts.status,
        metrics=parts.metrics.render,
        tokens=tokens.load(parts.core.settings.dir),
    )
    try:
        async with serve(app, host, port):
            yield
    except OSError as error:
        raise StartFailure(
            f"cannot listen on {parts.core.settings.control.listen}: {error.strerror or error}; see control.listen"
        ) from error


async def _reload(parts: _Parts) -> None:
    """SIGHUP: take up a new model. Accounts and decisions need no reload: they change through the control API."""
    try:
        await parts.core.content.reload(parts.core.settings.content.model)
        _log.info("reloaded model=%s", parts.core.settings.content.model)
    except ModelError as error:
        _log.error("reload refused, the model in use stays: %s", error)


def _prepare(settings: Settings) -> None:
    """Make the data folder and its tokens; say clearly when that cannot be."""
    try:
        settings.dir.mkdir(parents=True, exist_ok=True, mode=0o750)
        probe = settings.dir / ".writable"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
        tokens.ensure_tokens(settings.dir)
    except OSError as error:
        raise StartFailure(
            f"dir = {str(settings.dir)!r}: cannot write there ({error.strerror}); give a folder with room to write"
        ) from error


def _allow_many_files() -> None:
    """Raise the soft limit of open files: the usual 1,024 is a few hundred clients and the next hops."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _content(settings: Settings) -> tuple[ContentPool | BareContent, list[Signer]]:
    keys: dict[str, bytes] = {}
    signers: list[Signer] = []
    dkim = settings.dkim
    if dkim.domain:
        path = dkim.key or settings.dir / "dkim" / f"{dkim.domain}.{dkim.selector}.pem"
        key_id = f"{dkim.selector}.{dkim.domain}"
        keys[key_id] = ensure_key(path)
        signers.append(Signer(domain=dkim.domain, selector=dkim.selector, key_id=key_id))
    if settings.content.model == "none" and not signers:
        return BareContent(), signers
    pool = ContentPool(
        model=settings.content.model,
        keys=keys,
        workers=settings.content.workers or len(os.sched_getaffinity(0)),
        timeout_seconds=settings.content.timeout_seconds,
    )
    return pool, signers


def _secret(path: Path) -> bytes:
    """The node's key for references and keyed hashes; made once, whole or not at all."""
    secret = path.read_bytes() if path.exists() else b""
    if len(secret) < _SECRET_BYTES:  # a full disk left it empty, and an empty key would sign for everybody
        secret, draft = secrets.token_bytes(_SECRET_BYTES), path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    return secret
