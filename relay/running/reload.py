"""New settings for a running relay: what can change is taken up at once, what cannot is named.

All or nothing: a file, certificate or model that is wrong changes nothing. Sessions inside keep their numbers until
they end; a message is judged by the policy in force at its verdict, and its records name that one's version.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass

from pydantic import BaseModel

from relay import log
from relay.content.active import active_model
from relay.content.model_files import find_model
from relay.content.protocol import ModelError
from relay.content.rule_book import load_rules
from relay.control.errors import Invalid, StateFailure
from relay.control.views import KeyChange, Reloaded
from relay.delivery.shaping.providers import load_providers
from relay.front.inbox import inbox_smtp
from relay.front.tls import CertificateWatch, served
from relay.places.files import checked
from relay.policy.file import overruled
from relay.running.parts import Parts
from relay.settings import Policy, Settings, SettingsError, load

_log = logging.getLogger("mailweir.reload")

_SECTIONS = frozenset(
    {"policy", "limits", "identity", "lockdown", "headers", "log", "notices", "sandbox", "suppression"}
)
_KEYS = frozenset(
    {
        "node.abuse_contact",
        "content.model",
        "content.rules",
        "content.keep_words",
        "places.files",
        "smtp.auth_without_tls",
        "smtp.proxy_from",
        "smtp.xclient_from",
        "smtp.max_size_bytes",
        "smtp.max_recipients",
        "smtp.max_connections_per_address",
        "smtp.connections_per_minute",
        "smtp.errors_per_minute",
        "smtp.timeout_seconds",
        "smtp.min_bytes_per_second",
        "smtp.tls_certificate",
        "smtp.tls_key",
        "inbox.addresses",
        "inbox.domains",
        "inbox.max_size_bytes",
        "inbox.reports_per_minute",
        "inbox.max_connections_per_address",
        "inbox.keep_days",
        "inbox.keep_megabytes",
        "web.public_url",
        "delivery.connections",
        "delivery.messages_per_connection",
        "delivery.first_retry_seconds",
        "delivery.lifetime_hours",
        "delivery.host_failure_seconds",
        "delivery.timeout_seconds",
        "delivery.providers",
    }
)
_ELSEWHERE = frozenset(
    {"analytics", "dnsbl", "dashboard", "webhooks", "imap"}
)  # read by other programs, each at its own start


@dataclass(frozen=True, slots=True)
class Plan:
    """The settings in force afterwards, and by which keys the file differs from those before."""

    settings: Settings
    taken_up: tuple[str, ...]
    needs_restart: tuple[str, ...]
    changes: tuple[KeyChange, ...] = ()


def plan(old: Settings, new: Settings) -> Plan:
    """Compare; a pure function."""
    changed = dict(_changed(old, new))
    live = [key for key in changed if _is_live(key, old, new)]
    settings = old
    for key in live:
        section, _, name = key.partition(".")
        part = getattr(settings, section).model_copy(update={name: changed[key]})
        settings = settings.model_copy(update={section: part})
    return Plan(settings, tuple(live), tuple(key for key in changed if key not in live), _told(old, new, changed))


def _told(old: Settings, new: Settings, keys: Iterable[str]) -> tuple[KeyChange, ...]:
    return tuple(KeyChange(key, _words(old, key), _words(new, key)) for key in keys)


def _words(settings: Settings, key: str) -> str:
    """The value of a key; not that of one that holds a secret."""
    section, _, name = key.partition(".")
    part = getattr(settings, section)
    if not name:
        return f"{len(part)} of them" if isinstance(part, Sized) and not isinstance(part, str) else str(part)
    if not type(part).model_fields[name].repr:
        return "(not shown)"
    return str(getattr(part, name))


class Reloader:
    """Takes new settings up, one reload at a time."""

    def __init__(self, parts: Parts, watch: CertificateWatch, read: Callable[[], Settings] = load) -> None:
        self._parts, self._watch, self._read = parts, watch, read
        self._reloading = asyncio.Lock()

    async def reload(self, *, dry_run: bool = False) -> Reloaded:
        """Read the settings anew. Raises Invalid with key, value and fix; then nothing has changed."""
        async with self._reloading:
            policies = self._parts.core.state.policies
            try:
                read = self._read()
                in_force = self._parts.core.settings.policy
                new = read.model_copy(update={"policy": in_force}) if policies.is_applied else read
                planned = plan(self._parts.core.settings, new)
                await self._take_up(planned, dry_run=dry_run)
                if not dry_run:
                    await policies.settle(read.policy)
            except StateFailure as error:
                _log.error("reloaded, but the policy's version could not be written down: %s", error)
                raise
            except (SettingsError, ModelError, OSError) as error:
                _log.error("reload refused, all settings stay as they were: %s", error)
                raise Invalid(f"nothing was changed. {error}") from error
        for key in () if dry_run else planned.needs_restart:
            _log.warning("%s: needs a restart", key)
        if not dry_run:
            _log.info("reloaded model=%s taken_up=%s", planned.settings.content.model, ",".join(planned.taken_up))
        return Reloaded(
            taken_up=list(planned.taken_up),
            needs_restart=list(planned.needs_restart),
            model=planned.settings.content.model,
            overruled=[f"policy.{change.key}" for change in overruled(read.policy, new.policy)],
            changes=list(planned.changes),
            dry_run=dry_run,
        )

    def judge_by(self, policy: Policy) -> None:
        """Take up another policy alone, from the next verdict on."""
        self._adopt(self._parts.core.settings.model_copy(update={"policy": policy}))

    async def _take_up(self, planned: Plan, *, dry_run: bool) -> None:
        settings, parts = planned.settings, self._parts
        smtp, model = settings.smtp, active_model(settings)
        context = served(smtp.tls_certificate, smtp.tls_key) if smtp.tls_certificate else None
        if model != "none":
            find_model(model)
        await asyncio.to_thread(checked, settings.places.files)
        rules = load_rules(settings.content.rules)
        providers = load_providers(settings.delivery.providers, settings.delivery)  # the file may differ, the key not
        if dry_run:
            return
        await parts.core.content.reload(
            model, settings.content.rules
        )  # the last thing that may fail, and the only one that takes time
        if context is not None and smtp.tls_certificate is not None:
            self._watch.take_up(smtp.tls_certificate, smtp.tls_key, context)
        self._adopt(settings)
        parts.core.certain.take_up(rules)
        await asyncio.to_thread(parts.core.places.take_up, settings.places.files)
        parts.doors.take_up(smtp)
        parts.inbox.take_up(inbox_smtp(settings))
        parts.messages.take_up(smtp)
        parts.web.take_up(smtp)
        parts.core.shaper.take_up(providers)
        log.show_messages(settings.log.messages)

    def _adopt(self, settings: Settings) -> None:
        """Hand whole settings to those who read them from several sections."""
        parts = self._parts
        parts.core.settings = settings
        for part in (parts.receiver, parts.returns, parts.courier, parts.told.digests, parts.told.notices):
            part.take_up(settings)


def _changed(old: Settings, new: Settings) -> Iterator[tuple[str, object]]:
    for name in Settings.model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if name in _ELSEWHERE or before == after:
            continue
        if not isinstance(before, BaseModel):
            yield name, after
            continue
        for key in type(before).model_fields:
            if getattr(before, key) != getattr(after, key):
                yield f"{name}.{key}", getattr(after, key)


def _is_live(key: str, old: Settings, new: Settings) -> bool:
    if key == "content.model":  # with and without a model are two kinds of content stage
        return "none" not in (old.content.model, new.content.model)
    if key in ("smtp.tls_certificate", "smtp.tls_key"):  # a self-signed one is made at start only
        return new.smtp.tls_certificate is not None
    return key in _KEYS or key.partition(".")[0] in _SECTIONS
