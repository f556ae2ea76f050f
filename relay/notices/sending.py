"""Tells an account's contact and the abuse desk what was decided about their senders, by mail.

Rows lie in the spool (spool/notices.py) until the mail that tells them is stored: a crash in between sends twice and
swallows nothing. A decision is told after its commit; what a crash left untold is found by its number at the next
start. Must never change what becomes of anybody's mail.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from relay.clock import Clock
from relay.control.state.memory import State
from relay.notices.addressee import contact_of
from relay.notices.items import EXPIRING, RELEASED, STOPPED, Items, contact_address
from relay.notices.mail import Heading, notice_mail
from relay.policy.decisions.decision import Decision, Effect
from relay.policy.decisions.self_release import AUTHOR, is_by_machine, is_stop
from relay.resellers.brand import NO_BRAND
from relay.settings import Settings
from relay.spool.notices import Audience, Group, Notice
from relay.spool.store import Spool

_log = logging.getLogger("mailweir.control")

_GATHER_SECONDS = 5.0  # what comes together is told together
_LOOK_SECONDS = 1.0
_TOLD = (Effect.THROTTLE, Effect.HOLD, Effect.BLOCK, Effect.SUSPEND, Effect.RELEASE)

_Submit = Callable[[bytes, str, str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Expiring:
    """Held mail of one sender that is deleted at expires_at unless somebody decides before."""

    account: str
    reseller: str
    sender: str
    message_ids: tuple[str, ...]
    expires_at: datetime


class Notices:
    """Sends notices while it runs. submit(mail, to, account, reseller) returns when the mail is stored."""

    def __init__(
        self, *, state: State, spool: Spool, settings: Settings, clock: Clock, items: Items, submit: _Submit
    ) -> None:
        self._state, self._spool, self._settings, self._clock = state, spool, settings, clock
        self._items, self._submit = items, submit
        self._heard: list[Decision] = []
        self._task: asyncio.Task[None] | None = None

    def take_up(self, settings: Settings) -> None:
        self._settings = settings
        self._items.take_up(settings)

    async def start(self) -> None:
        """Find what the last run did not tell, and begin. Raises SpoolFull."""
        self._heard = await self._untold()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="notices")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def heard(self, decision: Decision) -> None:
        """Take in a decision that was committed. Costs nothing but a list's end."""
        if decision.proposal.effect in _TOLD:
            self._heard.append(decision)  # the state keeps all decisions in memory: a reference more

    async def tell(self, expiring: Expiring) -> None:
        """Return when it is sure that the account's contact, or the desk, will hear of it. Raises SpoolFull."""
        ids, ends = " ".join(expiring.message_ids), str(expiring.expires_at.timestamp())
        about = expiring.account, expiring.reseller, expiring.sender
        now_unix = self._clock.unix()
        rows = [Notice(who, EXPIRING, *about, EXPIRING, ids, ends, now_unix) for who in self._audiences(is_news=True)]
        await self._spool.notices.add(rows, self._interval)

    async def send_due(self) -> int:
        """Store what was heard and send what is due; return how many mails went out."""
        if self._heard:
            await self._note()
        now_unix, sent = self._clock.unix(), 0
        for group in self._spool.notices.groups(now_unix):
            if self._due_unix(group) <= now_unix:
                try:
                    sent += await self._send(group, now_unix)
                except Exception:  # a full disk, or whatever it is: the rows are there, and others have their own
                    _log.exception("notice not sent audience=%s whose=%s", group.audience, group.whose)
        return sent

    @property
    def _interval(self) -> float:
        return self._settings.notices.interval_minutes * 60

    async def _run(self) -> None:
        while True:
            try:
                await self.send_due()
            except Exception:  # what was heard and the rows are there, and the next look tries again
                _log.exception("notices not looked at")
            await self._clock.sleep(_LOOK_SECONDS)

    async def _untold(self) -> list[Decision]:
        own = [row for row in self._state.decisions(limit=None) if row.node == self._settings.node.name]
        bookmark = self._spool.notices.bookmark()
        if bookmark is None:  # an installation from before notices: old decisions are no news
            await self._spool.notices.add([], 0.0, max((row.sequence for row in own), default=0))
            return []
        found = [row for row in own if row.sequence > bookmark and row.proposal.effect in _TOLD]
        return sorted(found, key=lambda row: row.sequence)

    async def _note(self) -> None:
        heard = list(self._heard)
        rows = [row for decision in heard for row in self._rows(decision)]
        await self._spool.notices.add(rows, self._interval, max(decision.sequence for decision in heard))
        del self._heard[: len(heard)]

    def _rows(self, decision: Decision) -> list[Notice]:
        proposal = decision.proposal
        kind = STOPPED if is_stop(decision) else RELEASED
        if kind == RELEASED and not self._ends_stop(decision):
            return []
        condition = f"{proposal.effect}/{proposal.rule}" if kind == STOPPED else RELEASED
        reseller = self._state.reseller_of(proposal.account)
        about = proposal.account, reseller, proposal.sender, condition, decision.id, ""
        raised_unix = proposal.starts_at.timestamp()
        return [Notice(who, kind, *about, raised_unix) for who in self._audiences(is_news=_is_news(decision))]

    def _ends_stop(self, decision: Decision) -> bool:
        ended = self._state.decision(decision.proposal.supersedes)
        return ended is not None and is_stop(ended)

    def _audiences(self, *, is_news: bool) -> Sequence[Audience]:
        if not self._settings.notices.on or self._settings.demo:
            return ()
        is_desk = is_news and self._settings.node.abuse_contact
        return (Audience.CONTACT, Audience.DESK) if is_desk else (Audience.CONTACT,)

    def _due_unix(self, group: Group) -> float:
        first = group.due_unix + _GATHER_SECONDS
        bundle = self._settings.notices.bundle_minutes * 60
        return first if group.told_unix is None else max(first, group.told_unix + bundle)

    async def _send(self, group: Group, now_unix: float) -> bool:
        told, to = self._spool.notices.bundle(group, now_unix), self._to(group)
        now = datetime.fromtimestamp(now_unix, UTC)
        listed = {one.key: one for one in told.notices}.values() if to else ()  # of several the youngest
        items = [item for one in listed if (item := self._items.of(one, now))]
        if items:
            mail = notice_mail(group, told, items, self._heading(group, to, now))
            await self._submit(mail, to, group.whose, self._state.reseller_of(group.whose) if group.whose else "")
            _log.info("notice sent audience=%s whose=%s notices=%d", group.audience, group.whose, told.total)
        elif not to:
            _log.warning("notice told nobody whose=%s notices=%d: no contact", group.whose, told.total)
        await self._spool.notices.forget(group, told, now_unix, self._interval, is_sent=bool(items))
        return bool(items)

    def _to(self, group: Group) -> str:
        if group.audience is Audience.DESK:
            return self._settings.node.abuse_contact
        return contact_of(self._state.accounts.get(group.whose))

    def _heading(self, group: Group, to: str, now: datetime) -> Heading:
        is_customers = group.audience is Audience.CONTACT
        brand = self._state.brands.of_account(group.whose) if is_customers else NO_BRAND
        hostname = self._settings.node.hostname
        sender = self._settings.delivery.bounce_sender or f"postmaster@{hostname}"
        return Heading(sender, contact_address(self._settings, brand), to, hostname, now, brand)


def _is_news(decision: Decision) -> bool:
    """Tell whether the abuse desk has not decided it itself."""
    return is_by_machine(decision) or decision.proposal.author.startswith(AUTHOR)
