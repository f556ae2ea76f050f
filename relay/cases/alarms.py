"""Commands on alarms: what a person says of one. Alarms themselves are journaled by whoever raises them."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from relay.cases.views import AlarmMark, AlarmMarked, AlarmOrder
from relay.clock import Clock
from relay.control.access import in_sight, require, require_whole_tree, sees
from relay.control.audit.chain import Act
from relay.control.checks import shell
from relay.control.errors import Invalid, NotFound
from relay.control.state.memory import State
from relay.tree import Principal, Role, Scope

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_SUBJECT_LENGTH, _WHY_LENGTH = 255, 500
_LONGEST_MINUTES = 90 * 1440.0  # a silence that nobody remembers hides the next incident


def mark_of(marks: Sequence[AlarmMark], key: tuple[str, str, str], raised_at: datetime) -> AlarmMark | None:
    """What was said of an alarm (condition, account, subject) raised then; None: it needs somebody.

    A mark without a subject speaks for the whole condition of its account.
    """
    condition, account, subject = key
    for mark in marks:
        if (mark.condition, mark.account) != (condition, account) or mark.subject not in ("", subject):
            continue
        if mark.kind == "silenced" or raised_at <= mark.since:
            return mark
    return None


class AlarmDesk:
    """Every command takes its Principal first and checks role, scope and values."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state, self._book, self._clock = state, state.cases, clock

    async def marks(self, principal: Principal) -> list[AlarmMark]:
        """Marks in the principal's part of the tree."""
        require(principal, Role.VIEWER)
        return [mark for mark in await self._book.marks() if self._is_seen(principal, mark.account)]

    async def acknowledge(self, principal: Principal, order: AlarmOrder) -> AlarmMarked:
        """Say that an alarm was seen; when it is raised again, it counts again."""
        self._check(principal, order)
        if order.minutes is not None:
            raise Invalid("minutes: an alarm is acknowledged until it is raised again; ask /silence for a time")
        return await self._put(principal, order, self._mark(principal, order, None))

    async def silence(self, principal: Principal, order: AlarmOrder) -> AlarmMarked:
        """Let an alarm count for nothing until a time is over, however often it is raised."""
        self._check(principal, order)
        if order.minutes is None or not 0 < order.minutes <= _LONGEST_MINUTES:
            raise Invalid(
                f"minutes = {order.minutes}: say for how long, above 0 and at most {_LONGEST_MINUTES:.0f} (90 days)"
            )
        until = self._clock.now() + timedelta(minutes=order.minutes)
        return await self._put(principal, order, self._mark(principal, order, until))

    async def clear(self, principal: Principal, order: AlarmOrder) -> AlarmMarked:
        """Take back what was said of an alarm."""
        self._check(principal, order)
        key = (order.condition, order.account, order.subject)
        known = await self._book.marks()
        mark = next((one for one in known if (one.condition, one.account, one.subject) == key), None)
        if mark is None:
            raise NotFound(f"nothing is said of {_words(order)}; `mailweir alarm ls` shows what is")
        if not order.dry_run:
            await self._book.drop_mark(mark, principal, self._act("alarm.clear", order))
        verb = "silence" if mark.kind == "silenced" else "ack"
        more = ["--for", f"{_left(mark, self._clock.now())}m"] if mark.until else []
        return AlarmMarked(mark=None, undo=_line(verb, order, *more), dry_run=order.dry_run)

    async def _put(self, principal: Principal, order: AlarmOrder, mark: AlarmMark) -> AlarmMarked:
        if not order.dry_run:
            verb = "alarm.silence" if mark.until else "alarm.acknowledge"
            await self._book.put_mark(mark, principal, self._act(verb, order))
        return AlarmMarked(mark=mark, undo=_line("clear", order), dry_run=order.dry_run)

    def _check(self, principal: Principal, order: AlarmOrder) -> None:
        require(principal, Role.ABUSE)
        if order.account:
            in_sight(self._state.accounts, principal, order.account)
        else:
            require_whole_tree(principal, "speak for an alarm that is about no account of it")
        if not _NAME.fullmatch(order.condition):
            raise Invalid(f"condition {order.condition[:80]!r}: give its name, as `mailweir alarm ls` shows it")
        if len(order.subject) > _SUBJECT_LENGTH or len(order.why) > _WHY_LENGTH:
            raise Invalid(f"subject, why: at most {_SUBJECT_LENGTH} and {_WHY_LENGTH} characters")

    def _mark(self, principal: Principal, order: AlarmOrder, until: datetime | None) -> AlarmMark:
        return AlarmMark(
            condition=order.condition,
            account=order.account,
            subject=order.subject,
            kind="silenced" if until else "acknowledged",
            author=principal.id,
            why=order.why,
            since=self._clock.now(),
            until=until,
        )

    def _act(self, command: str, order: AlarmOrder) -> Act:
        detail = {"subject": order.subject, "why": order.why}
        if order.minutes is not None:
            return Act(command, order.account, order.condition, detail | {"minutes": order.minutes})
        return Act(command, order.account, order.condition, {**detail})

    def _is_seen(self, principal: Principal, account: str) -> bool:
        if not account:
            return principal.scope == Scope()
        return sees(principal, account, self._state.reseller_of(account))


def _left(mark: AlarmMark, now: datetime) -> int:
    return max(round((mark.until - now).total_seconds() / 60), 1) if mark.until else 0


def _words(order: AlarmOrder) -> str:
    return " ".join(part for part in (order.condition, order.account, order.subject) if part)


def _line(verb: str, order: AlarmOrder, *more: str) -> str:
    words = ["--account", order.account] if order.account else []
    words += ["--subject", order.subject] if order.subject else []
    return shell("alarm", verb, order.condition, *words, *more)
