"""What is wrong with an installation, and the fix: one finding per check, whether anything runs or not.

Looks and asks only; it changes nothing.
"""

import enum
import os
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dns.exception
import dns.resolver

from analytics.client import AnalyticsDown, QueryClient, QueryError
from relay.content.active import active_model
from relay.content.model_files import find_model, read_array, read_card
from relay.content.protocol import ModelError
from relay.control.client import ControlClient, ControlError, ControlUnreachable
from relay.control.tokens import PRINCIPALS
from relay.files import still_there
from relay.front.entrances import entrances
from relay.places.files import checked
from relay.policy.file import plain
from relay.running.ports import taken
from relay.settings import Settings, SettingsError, load, split_listen

_LOW_BYTES, _VERY_LOW_BYTES = 2_000_000_000, 200_000_000
_STALE_SECONDS = 30
_OLD_PLACES_DAYS = 180
_DNS_SECONDS = 3.0


class Level(enum.IntEnum):
    """How bad it is; `fail` means that mail or its analysis does not work."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. `fix` is "" when there is nothing to do."""

    level: Level
    text: str
    fix: str = ""


def examine(config: Path | None) -> Iterator[Finding]:
    """Yield findings, the ones that explain others first."""
    try:
        settings = load(config)
    except SettingsError as error:
        yield Finding(Level.FAIL, f"settings: {error}", "correct them, or write new ones with: mailweir init")
        return
    yield Finding(Level.OK, f"settings: readable, data folder {settings.dir}")
    yield from _folder(settings)
    yield from _space(settings)
    yield from _tokens(settings)
    yield from _model(settings)
    yield from _places(settings)
    relay, analytics = _ask_relay(settings), _ask_analytics(settings)
    yield relay
    yield analytics
    if relay.level is Level.OK:
        yield from _policy(settings)
    yield from _ports(settings, relay.level is Level.OK, analytics.level is Level.OK)
    yield from _journal(settings, analytics.level is Level.OK)
    yield from _dns(settings)
    yield from _notices(settings)
    if analytics.level is not Level.FAIL:
        yield from _alarms(settings)


def _folder(settings: Settings) -> Iterator[Finding]:
    if not settings.dir.exists():
        parent = next(path for path in settings.dir.parents if path.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield Finding(Level.WARN, f"folder: {settings.dir} is not made yet", "mailweir up makes it")
        else:
            yield Finding(Level.FAIL, f"folder: {settings.dir} cannot be made", f"chown {parent}, or set another `dir`")
        return
    closed = [path for path in (settings.dir, *settings.dir.glob("*")) if not os.access(path, os.W_OK)]
    if closed:
        fix = f"chown -R {os.geteuid()} {settings.dir}, or make its file system writable"
        yield Finding(Level.FAIL, f"folder: {closed[0]} is not writable for user {os.geteuid()}", fix)
    else:
        yield Finding(Level.OK, "folder: writable")
    if settings.dir.stat().st_mode & stat.S_IRWXO:  # what lies below is as open as versions before left it
        text = f"folder: every user of this machine may look into {settings.dir}, where addresses and subjects are"
        yield Finding(Level.WARN, text, f"chmod o-rwx {settings.dir}")


def _space(settings: Settings) -> Iterator[Finding]:
    place = next(path for path in (settings.dir, *settings.dir.parents) if path.exists())
    free = shutil.disk_usage(place).free
    level = Level.FAIL if free < _VERY_LOW_BYTES else Level.WARN if free < _LOW_BYTES else Level.OK
    fix = "free some: mail is refused with 452 when the disk is full" if level else ""
    yield Finding(level, f"disk: {free / 1e9:.1f} GB free at {place}", fix)


def _tokens(settings: Settings) -> Iterator[Finding]:
    missing = []
    for name in PRINCIPALS:
        path = settings.tokens_dir / f"{name}.token"
        if not path.exists():
            missing.append(name)
        elif path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield Finding(Level.FAIL, f"tokens: others may read {path}", f"chmod 600 {path}")
        elif not path.read_text().strip():
            yield Finding(
                Level.FAIL, f"tokens: {path} is empty", f"remove it; the next start makes a new one: rm {path}"
            )
    if missing:
        yield Finding(Level.WARN, f"tokens: not made yet: {', '.join(missing)}", "mailweir up makes them")
    else:
        yield Finding(Level.OK, "tokens: there, readable by their owner only")


def _model(settings: Settings) -> Iterator[Finding]:
    name = active_model(settings)
    if name == "none":
        yield Finding(Level.WARN, "model: none, messages are not scored", "set content.model = 'shipped'")
        return
    try:
        folder = find_model(name)
        card = read_card(folder)
        for array in card.arrays:
            read_array(folder, array, card)
    except ModelError as error:
        yield Finding(Level.FAIL, f"model: {error}", "restore or train it, or set content.model = 'none'")
    else:
        yield Finding(Level.OK, f"model: {card.name} matches its card")


def _places(settings: Settings) -> Iterator[Finding]:
    """The operator's files of countries: stale ones mislead."""
    for path in settings.places.files:
        try:
            [database] = checked([path])
        except SettingsError as error:
            yield Finding(Level.FAIL, f"places: {error}", "until then logins' countries are told without it")
            continue
        days = (datetime.now(UTC) - database.built_at).days
        fix = "fetch it again, as its maker does every week or month" if days > _OLD_PLACES_DAYS else ""
        level = Level.WARN if fix else Level.OK
        yield Finding(level, f"places: {path} is readable, made {days} days ago", fix)


def _ask_relay(settings: Settings) -> Finding:
    try:
        with ControlClient.of(settings, timeout_seconds=3) as client:
            status = client.status()
    except ControlUnreachable:
        return Finding(Level.FAIL, f"relay: no answer on {settings.control.listen}", _start("relay"))
    except ControlError as error:
        return Finding(Level.FAIL, f"relay: {error}", _foreign(settings.control.listen))
    return Finding(Level.OK, f"relay: node {status.get('node')} answers on {settings.control.listen}")


def _policy(settings: Settings) -> Iterator[Finding]:
    """Which policy judges, and what mailweir.toml says otherwise."""
    try:
        with ControlClient.of(settings, timeout_seconds=3) as client:
            view = client.policy()
    except ControlError as error:
        yield Finding(Level.WARN, f"policy: the relay does not say which ({error})", "see the relay's log")
        return
    version = view.version
    if version.origin == "file":
        yield Finding(Level.OK, f"policy: version {version.version}, [policy] of mailweir.toml")
        return
    text = f"policy: version {version.version}, applied by {version.author} at {version.applied_at:%Y-%m-%d %H:%M} UTC"
    if not view.overruled:
        yield Finding(Level.OK, text)
        return
    said = ", ".join(f"{change.key} = {plain(change.old)} (in force: {plain(change.new)})" for change in view.overruled)
    fix = "take these keys out there, or mailweir policy rollback"
    yield Finding(Level.WARN, f"{text}; it wins over [policy] of mailweir.toml, which says {said}", fix)


def _ask_analytics(settings: Settings) -> Finding:
    try:
        with QueryClient.of(settings, "admin", timeout_seconds=3) as client:
            failed = [row for row in client.table("jobs").to_pylist() if row["last_status"] == "failed"]
    except AnalyticsDown:
        return Finding(Level.FAIL, f"analytics: no answer on {settings.analytics.listen}", _start("analytics"))
    except QueryError as error:
        return Finding(Level.FAIL, f"analytics: {error}", _foreign(settings.analytics.listen))
    if failed:
        text = "; ".join(f"{row['job']}: {row['last_error']}" for row in failed)
        return Finding(Level.WARN, f"analytics: answers, but jobs fail: {text}", "its log says more")
    return Finding(Level.OK, f"analytics: answers on {settings.analytics.listen}, every job well")


def _alarms(settings: Settings) -> Iterator[Finding]:
    """What the relays raised in the last day."""
    fixes = {
        "no_sender_id": "let that server name its users in X-AuthUser: docs/integrations",
        "ip_listed": "`mailweir ip culprits ADDRESS` says who caused it; then docs/runbooks.md, an address is listed",
        "job_failed": "`mailweir jobs ls` says what failed; `mailweir jobs run JOB` tries it again",
        "feed_stale": "look whether its link or access has expired: docs/reports.md",
        "customer_configuration": "the customer has to mend it; `mailweir domain check DOMAIN` says what lacks",
    }
    try:
        with QueryClient.of(settings, "admin", timeout_seconds=3) as client:
            rows = client.table("alarms").to_pylist()
    except (AnalyticsDown, QueryError):
        return  # the finding on analytics says so
    for row in rows:
        text = f"alarm: {row['logged_at']:%Y-%m-%d %H:%M} UTC, {row['text']}"
        yield Finding(Level.WARN, text, fixes.get(row["condition"], "see the relay's log"))


def _notices(settings: Settings) -> Iterator[Finding]:
    """Whom a stopped sender is told to."""
    if settings.demo or not settings.notices.on:
        yield Finding(Level.OK, "notices: none are sent, by the settings")
        return
    if settings.node.abuse_contact:
        yield Finding(Level.OK, f"notices: the abuse desk is {settings.node.abuse_contact}")
    else:
        fix = "set node.abuse_contact to the address of your abuse desk"
        yield Finding(Level.WARN, "notices: no abuse desk is told when a sender is stopped", fix)
    if settings.policy.self_release and not (settings.web.public_url and settings.web.listen):
        fix = "set web.public_url, or policy.self_release = false"
        yield Finding(Level.WARN, "notices: they carry no release link, for lack of a public address", fix)


def _start(name: str) -> str:
    return f"mailweir up, or mailweir {name}; if it ended, the last lines of its log say why"


def _foreign(listen: str) -> str:
    return f"another installation may listen on {listen}: compare `dir` and tokens, or listen elsewhere"


def _ports(settings: Settings, relay_runs: bool, analytics_runs: bool) -> Iterator[Finding]:
    """Whether what does not run could open its ports."""
    wanted = [
        *((entrance.key, entrance.address) for entrance in entrances(settings.smtp) if not relay_runs),
        *([("control.listen", settings.control.listen)] if not relay_runs else []),
        *([("analytics.listen", settings.analytics.listen)] if not analytics_runs else []),
    ]
    conflicts = [(key, conflict) for key, address in wanted if (conflict := taken(address))]
    for key, conflict in conflicts:
        yield Finding(Level.FAIL, f"ports: {key}: {conflict}", "stop that program, or listen elsewhere")
    if wanted and not conflicts:
        yield Finding(Level.OK, "ports: all that are not open yet are free")


def _journal(settings: Settings, analytics_runs: bool) -> Iterator[Finding]:
    waiting = [state for _, state in still_there(settings.journal_dir.glob("*.jsonl"))]
    aside = list((settings.journal_dir / "aside").glob("*.jsonl"))
    oldest = max((time.time() - state.st_mtime for state in waiting), default=0.0)
    if waiting and oldest > _STALE_SECONDS:
        fix = "see the job `ingest`: mailweir warehouse info" if analytics_runs else "start analytics: it catches up"
        yield Finding(Level.WARN, f"journal: {len(waiting)} files wait, the oldest for {oldest:.0f} s", fix)
    else:
        yield Finding(Level.OK, f"journal: {len(waiting)} files wait")
    if aside:
        fix = f"look at {aside[0].parent}; what was readable is in the warehouse. Then remove them"
        yield Finding(Level.WARN, f"journal: {len(aside)} damaged files were set aside", fix)


def _dns(settings: Settings) -> Iterator[Finding]:
    if settings.delivery.mode != "direct":
        yield Finding(Level.OK, f"dns: not needed, delivery.mode = {settings.delivery.mode}")
        return
    # The resolver knows every name of the root: an answer says that it works, without asking for anybody's domain.
    try:
        resolver = dns.resolver.Resolver(configure=not settings.delivery.nameservers)
        if settings.delivery.nameservers:
            servers = dict(_server(value) for value in settings.delivery.nameservers)
            resolver.nameservers, resolver.nameserver_ports = list(servers), servers
        resolver.resolve(".", "NS", lifetime=_DNS_SECONDS)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        yield Finding(Level.OK, "dns: answers")
    except (dns.exception.DNSException, OSError) as error:
        fix = "set delivery.nameservers, or repair /etc/resolv.conf: no MX can be found until then"
        yield Finding(Level.WARN, f"dns: no answer ({type(error).__name__})", fix)
    else:
        yield Finding(Level.OK, "dns: answers")


def _server(value: str) -> tuple[str, int]:
    return split_listen(value) if value.rpartition(":")[2].isdigit() and value.count(":") == 1 else (value, 53)
