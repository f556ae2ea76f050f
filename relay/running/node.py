"""The composition root: wires one relay, starts it, stops it. The only place where a Clock is made."""

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator

from relay.backup.mark import HalfRestored, refuse_half
from relay.backup.routes import BackupRoutes
from relay.backup.taking import is_taken
from relay.clock import Clock, SystemClock
from relay.content.workers import ModelError
from relay.control import tokens
from relay.control.api import House, build_app, serve
from relay.control.errors import Invalid, StateFailure
from relay.control.labels.routes import LabelRoutes
from relay.control.policies.desk import PolicyDesk
from relay.control.policies.routes import PolicyRoutes
from relay.control.state.lock import AlreadyRunning, acquire
from relay.control.webhooks.commands import WebhookDesk
from relay.control.webhooks.routes import WebhookRoutes
from relay.domains import wiring as domains
from relay.domains.routes import DomainRoutes
from relay.evidence.routes import EvidenceRoutes
from relay.front.entrances import Entrance, entrances, inherited_sockets
from relay.front.server import Doors
from relay.front.tls import CertificateWatch
from relay.log import show_messages
from relay.places.files import Places
from relay.privacy.desk import PrivacyDesk
from relay.privacy.routes import PrivacyRoutes
from relay.running.core import StartFailure, start_core
from relay.running.parts import Parts
from relay.running.ready import tell_ready
from relay.running.reload import Reloader
from relay.running.wiring import wire
from relay.settings import Settings, SettingsError, split_listen
from relay.spool.cut import clear
from relay.users.desk import UserDesk
from relay.users.routes import UserRoutes

_log = logging.getLogger("mailweir.node")

_LOCK_SECONDS = 2.0  # a command that looks at the state of a relay that does not run is done by then
_FILES_SECONDS = 5.0  # a new certificate, or MMDB file, is looked for


def run(settings: Settings) -> int:
    """Run one relay until SIGTERM or SIGINT; return the exit status."""
    try:
        refuse_half(settings.dir)
        _prepare(settings)
        _allow_many_files()
        with acquire(settings.dir, _LOCK_SECONDS):
            asyncio.run(_run(settings))
    except (StartFailure, SettingsError, AlreadyRunning, ModelError, HalfRestored) as error:
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

    show_messages(settings.log.messages)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with _relay(settings, SystemClock(), fail) as parts:
        # What the start made lives as long as the relay: the collector need not look at it again, 10 % CPU a message
        gc.collect()
        gc.freeze()
        _log.info("relay started node=%s pid=%d", settings.node.name, os.getpid())
        tell_ready()
        await ended.wait()
        _log.info("relay stopping sessions=%d", parts.doors.sessions)
    if failures:
        raise StartFailure(f"stopped, because mail could no longer be stored safely: {failures[0]}")


@contextlib.asynccontextmanager
async def _relay(settings: Settings, clock: Clock, fail: Callable[[BaseException], None]) -> AsyncIterator[Parts]:
    """Start every part, in the order in which they need each other; stop them in the opposite one."""
    async with contextlib.AsyncExitStack() as stack:
        parts = wire(await start_core(settings, clock, fail, stack))
        parts.suppressing.start()
        stack.push_async_callback(parts.suppressing.stop)
        await parts.courier.start()
        stack.push_async_callback(parts.courier.stop, settings.smtp.stop_seconds)
        parts.told.digests.start()
        stack.push_async_callback(parts.told.digests.stop)
        await parts.told.notices.start()
        stack.push_async_callback(parts.told.notices.stop)
        parts.expiry.start()
        stack.push_async_callback(parts.expiry.stop)
        parts.following.start()
        stack.push_async_callback(parts.following.stop)
        tending = asyncio.create_task(parts.returns.tend(parts.core.state))
        stack.callback(tending.cancel)
        stack.push_async_callback(parts.receiver.settle, settings.smtp.stop_seconds)
        await _open_doors(parts)
        watch = CertificateWatch(parts.doors.tls, settings.smtp.tls_certificate, settings.smtp.tls_key)
        watching = asyncio.create_task(_watch_files(watch, parts.core.places, clock))
        stack.callback(watching.cancel)
        looking = asyncio.create_task(domains.watch(parts.domains, clock))
        stack.callback(looking.cancel)
        stack.push_async_callback(_close_doors, parts)
        await _open_web(parts)
        reloader = Reloader(parts, watch)
        with _hangups(reloader):
            async with _control(parts, reloader):
                yield parts


async def _watch_files(watch: CertificateWatch, places: Places, clock: Clock) -> None:
    while True:
        await clock.sleep(_FILES_SECONDS)
        watch.refresh()
        if places.has_changed():
            await asyncio.to_thread(places.refresh)


async def _open_doors(parts: Parts) -> None:
    opened = inherited_sockets()
    for entrance, sock in opened:
        await _doors_of(parts, entrance).open(entrance, sock)
    if opened:  # systemd says where to listen; commands and pages go by the settings
        _compare({entrance for entrance, _ in opened}, set(entrances(parts.core.settings.smtp)))
        return
    for entrance in entrances(parts.core.settings.smtp):
        try:
            await _doors_of(parts, entrance).open(entrance)
        except OSError as error:
            raise StartFailure(
                f"cannot listen on {entrance.address}: {error.strerror or error}; see {entrance.key}"
            ) from error


def _compare(opened: set[Entrance], wanted: set[Entrance]) -> None:
    if opened != wanted:
        told = (
            "; ".join(sorted(f"{one.key} {one.address}" for one in some)) for some in (opened - wanted, wanted - opened)
        )
        _log.warning(
            "units and settings differ: only systemd opens [%s], only the settings name [%s]; fix: mailweir systemd",
            *told,
        )


def _doors_of(parts: Parts, entrance: Entrance) -> Doors:
    return parts.inbox if entrance.is_inbox else parts.doors


async def _open_web(parts: Parts) -> None:
    listen = parts.core.settings.web.listen
    try:
        if listen:
            await parts.web.open()
    except OSError as error:
        raise StartFailure(f"cannot listen on {listen}: {error.strerror or error}; see web.listen") from error


async def _close_doors(parts: Parts) -> None:
    # together: each may take smtp.stop_seconds
    seconds = parts.core.settings.smtp.stop_seconds
    await asyncio.gather(parts.doors.close(seconds), parts.inbox.close(seconds), parts.web.close())
    await parts.messages.close()


@contextlib.asynccontextmanager
async def _control(parts: Parts, reloader: Reloader) -> AsyncIterator[None]:
    host, port = split_listen(parts.core.settings.control.listen)
    app = build_app(
        commands=parts.commands,
        state=parts.core.state,
        house=House(
            parts.status, parts.metrics.render, parts.troubles, lambda dry_run: reloader.reload(dry_run=dry_run)
        ),
        tokens=tokens.load(parts.core.settings.dir),
        more=[
            *DomainRoutes(parts.domains).table(),
            *UserRoutes(UserDesk(parts.core.state, parts.core.clock, lambda: parts.core.settings)).table(),
            *LabelRoutes(parts.commands.labels, parts.models).table(),
            *PolicyRoutes(PolicyDesk(parts.core.state.policies, reloader.judge_by)).table(),
            *_webhooks(parts).table(),
            *EvidenceRoutes(parts.evidence).table(),
            *_privacy(parts).table(),
            *BackupRoutes(parts.core.spool.cuts, parts.core.state, parts.core.clock).table(),
        ],
    )
    try:
        async with serve(app, host, port):
            yield
    except OSError as error:
        raise StartFailure(
            f"cannot listen on {parts.core.settings.control.listen}: {error.strerror or error}; see control.listen"
        ) from error


def _privacy(parts: Parts) -> PrivacyRoutes:
    core = parts.core
    return PrivacyRoutes(PrivacyDesk(core.settings, core.state, core.spool.traces, core.clock, core.secret))


def _webhooks(parts: Parts) -> WebhookRoutes:
    core = parts.core
    return WebhookRoutes(WebhookDesk(core.state, core.clock), parts.commands.questions, parts.told.releases.link)


@contextlib.contextmanager
def _hangups(reloader: Reloader) -> Iterator[None]:
    """Reload at each SIGHUP."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()  # a task that nobody holds may be collected before its end

    def hangup() -> None:
        task = loop.create_task(_reload(reloader))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, hangup)
    try:
        yield
    finally:
        # without a handler a hangup would kill a relay that is finishing its transactions
        loop.add_signal_handler(signal.SIGHUP, lambda: None)


async def _reload(reloader: Reloader) -> None:
    """SIGHUP. Accounts and decisions need no reload: they change through the control API."""
    with contextlib.suppress(Invalid, StateFailure):  # the log says what is wrong
        await reloader.reload()


def _prepare(settings: Settings) -> None:
    """Make the data folder and its tokens; say clearly when that cannot be."""
    try:
        settings.dir.mkdir(parents=True, exist_ok=True, mode=0o750)
        probe = settings.dir / ".writable"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
        tokens.ensure_tokens(settings.dir)
        if not is_taken(settings.dir):
            clear(settings.dir / "spool", settings.journal_dir)  # what a backup that was cut off left
    except OSError as error:
        raise StartFailure(
            f"dir = {str(settings.dir)!r}: cannot write there ({error.strerror}); give a folder with room to write"
        ) from error


def _allow_many_files() -> None:
    """Raise the soft limit of open files: the usual 1,024 is a few hundred clients and the next hops."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
