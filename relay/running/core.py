"""What a relay consists of that owns files, threads or processes; started before everything else, in this order."""

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from relay.clock import Clock
from relay.content.bare import BareContent
from relay.content.protocol import Signer
from relay.content.rule_book import load_rules
from relay.content.stage import content_stage
from relay.content.workers import ContentPool
from relay.control.checks import checked_network
from relay.control.errors import Invalid, StateFailure
from relay.control.state.memory import State
from relay.delivery.egress.egress import Egress
from relay.delivery.shaping.providers import load_providers
from relay.delivery.shaping.shaper import Shaper
from relay.delivery.tls.memory import TlsMemory
from relay.front.auth import Authenticator
from relay.places.files import Places
from relay.policy.file import PolicyError
from relay.policy.limits.ledger import KEPT_SECONDS, LONGEST_DELAY_SECONDS, Ledger
from relay.policy.signals.counters import FLUSH_SECONDS, Counters, Table
from relay.policy.signals.live import Signals
from relay.policy.signals.repeats import REPEATS_KEPT_SECONDS, Repeats
from relay.policy.verdict.certain import Certain
from relay.returns.paths import ReturnPaths
from relay.running.misconfigured import DAY_SECONDS, Misconfigured
from relay.running.secret import node_secret
from relay.settings import Settings
from relay.spool.journal import Journal
from relay.spool.store import Spool
from relay.spool.words import WordLog

_log = logging.getLogger("mailweir.node")
_messages = logging.getLogger("mailweir.messages")

_SENDERS = 100_000  # whose signals are in memory, the others in the file
_LOCKS_KEPT_SECONDS = 86_400.0  # an address is trusted for so long after a login
_SHAPING_KEPT_SECONDS = 10 * 365 * 86_400.0  # an operator's suspension has no other end than his own word


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
    certain: Certain
    words: WordLog
    egress: Egress
    content: ContentPool | BareContent
    signers: list[Signer]
    secret: bytes
    paths: ReturnPaths
    tls: TlsMemory
    places: Places


async def start_core(
    settings: Settings,
    clock: Clock,
    fail: Callable[[BaseException], None],
    stack: contextlib.AsyncExitStack,
    *,
    flush_seconds: float = FLUSH_SECONDS,
) -> Core:
    """Start what must run before everything else; `stack` stops it again.

    `flush_seconds`: so much of the counts a crash may cost.

    Raises StartFailure, ModelError, SettingsError, OSError.
    """
    shaper = Shaper(load_providers(settings.delivery.providers, settings.delivery))
    journal = Journal(settings.journal_dir, "relay", settings.node.name, clock)
    journal.start()
    stack.callback(journal.close)
    state, settings = await _state(settings, clock, stack)
    spool = _spool(settings, clock, journal, fail)
    stack.push_async_callback(spool.stop)
    keys = await state.verp_keys(timedelta(days=settings.verp.rotate_days))
    secret = node_secret(settings.dir / "secret.key")
    authenticator = Authenticator(state.credentials, clock, secret=secret, on_success=state.note_use)
    stack.callback(authenticator.close)
    signals, ledger, tls = Signals(_SENDERS), Ledger(), TlsMemory()
    egress = Egress(settings.node.hostname)
    state.egress.feed(egress)
    misconfigured, certain = Misconfigured(journal), Certain(load_rules(settings.content.rules), Repeats())
    tables = [*signals.tables(), *egress.tables(), *tls.tables()]
    tables += _tables(ledger, authenticator, shaper, misconfigured, certain)
    await _remember(Counters(settings.dir / "counters.sqlite", tables, clock, flush_seconds), stack)
    words = await _words(settings, clock, stack)
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
        certain=certain,
        words=words,
        egress=egress,
        content=content,
        signers=signers,
        secret=secret,
        paths=ReturnPaths(settings, clock, keys, state.book.domain, state.brands),
        tls=tls,
        places=Places(settings.places.files, signals.logins.ask),
    )


def _tables(
    ledger: Ledger, authenticator: Authenticator, shaper: Shaper, misconfigured: Misconfigured, certain: Certain
) -> tuple[Table, ...]:
    return (
        Table("usage", ledger, KEPT_SECONDS),
        Table("lockout", authenticator.lockout, _LOCKS_KEPT_SECONDS),
        Table("shaping", shaper, _SHAPING_KEPT_SECONDS),
        Table("misconfigured", misconfigured, DAY_SECONDS),
        Table("repeats", certain.repeats, REPEATS_KEPT_SECONDS),
    )


async def _state(settings: Settings, clock: Clock, stack: contextlib.AsyncExitStack) -> tuple[State, Settings]:
    """Open the state; return it with the settings as they hold beside it."""
    try:
        state = await State.open(f"sqlite:///{settings.dir / 'state.sqlite'}", settings.node.name, clock)
    except (StateFailure, sqlite3.Error) as error:
        raise StartFailure(f"{settings.dir}/state.sqlite: {error}") from error
    stack.push_async_callback(state.close)
    _refuse_open_relay(state)
    return state, await _judged_by(settings, state)


async def _judged_by(settings: Settings, state: State) -> Settings:
    """The settings with the policy in force: a version that somebody applied wins over [policy]."""
    try:
        policy = await state.policies.settle(settings.policy)
    except PolicyError as error:
        raise StartFailure(f"{error}\nAnother one comes into force with: mailweir policy apply FILE") from error
    except StateFailure as error:
        raise StartFailure(f"{settings.dir}/state.sqlite: {error}") from error
    return settings.model_copy(update={"policy": policy})


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


async def _words(settings: Settings, clock: Clock, stack: contextlib.AsyncExitStack) -> WordLog:
    words = WordLog(settings.dir / "words", settings.node.name, clock)
    await words.start()
    stack.push_async_callback(words.stop)
    return words


async def _remember(counters: Counters, stack: contextlib.AsyncExitStack) -> None:
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
