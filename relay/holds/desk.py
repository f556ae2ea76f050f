"""Commands and questions on held mail: look, release, drop. Each takes its Principal first, checks role and scope.

A release of a sender, with nothing narrower, ends its hold: that is commands.py's, and comes back here for its mail.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from relay.clock import Clock
from relay.control.access import require, require_sight
from relay.control.audit.chain import Act
from relay.control.checks import shell
from relay.control.errors import Invalid, NotFound
from relay.control.state.memory import State
from relay.control.views import AuditDetail
from relay.holds.content import headers_and_text
from relay.holds.release import Chosen, Releases, Releasing
from relay.holds.views import DropOrder, Freed, HeldContent, HeldGroupView, HeldQuery, HeldView, ReleaseOrder, Removed
from relay.policy.decisions.decision import PARKED, Decision
from relay.settings import Policy
from relay.spool.entry import CorruptEntry
from relay.spool.held import By, HeldGroup, Which, cluster_name
from relay.spool.store import Spool
from relay.tree import Principal, Role, is_group

if TYPE_CHECKING:
    from relay.control.questions import Questions

_EITHER = "give either `message_ids`, or what selects: sender, account, cluster, rule, score, age"
_SHOWN_BYTES = 64 * 1024
_NAMED = 20  # messages with an audit row of their own; more are one row with what was asked for


class HoldDesk:
    """`policy()` is the one in force now."""

    def __init__(
        self,
        *,
        state: State,
        spool: Spool,
        questions: "Questions",
        releases: Releases,
        clock: Clock,
        policy: Callable[[], Policy],
    ) -> None:
        self._state, self._spool, self._questions, self._clock = state, spool, questions, clock
        self.releases, self._policy = releases, policy

    async def page(self, principal: Principal, query: HeldQuery, limit: int, before: str = "") -> list[HeldView]:
        """Parked messages, newest first; `before`: those behind that one."""
        require(principal, Role.VIEWER)
        number = self._number(before) if before else None
        found = await self._spool.parked.page(self._which(principal, query), limit, number)
        return [self._questions.held_view(message) for message in found]

    async def groups(self, principal: Principal, query: HeldQuery, by: By, limit: int) -> list[HeldGroupView]:
        """Parked messages by sender, cluster or rule, the fullest group first."""
        require(principal, Role.VIEWER)
        found = await self._spool.parked.groups(self._which(principal, query), by, limit)
        return [_group_view(group) for group in found]

    async def show(self, principal: Principal, message_id: str, *, with_text: bool) -> HeldContent:
        """A parked message with its headers; with its text for the abuse desk only, and audited."""
        require(principal, Role.ABUSE if with_text else Role.VIEWER)
        held = self._questions.held_among(principal, [message_id])[0]
        if with_text:
            await self._state.note(principal, Act("held.show", held.account, message_id, {"sender": held.sender}))
        try:
            message = self._spool.held_message(message_id)
        except CorruptEntry as error:
            raise NotFound(str(error)) from None
        if message is None:
            raise NotFound(f"not held (any more): {message_id}")
        content = message.prefix + self._spool.beginning(message, _SHOWN_BYTES)
        headers, text = await asyncio.to_thread(headers_and_text, content)
        return HeldContent(message=self._questions.held_view(held), headers=headers, text=text if with_text else "")

    async def release(self, principal: Principal, order: ReleaseOrder) -> Freed:
        """Free messages by id, or all that fit; the standing of their senders stays."""
        require(principal, Role.ABUSE)
        if bool(order.message_ids) == bool(order.given):
            raise Invalid(_EITHER)
        which = self._which(principal, order, order.message_ids)
        if order.content is False:
            which = self._harmless(which)
        how = Releasing(principal.id, order.verdict, order.note, at_once=order.at_once)

        async def audit(chosen: Chosen) -> None:
            await self._note(principal, "held.release", order, chosen, order.note, order.message_ids)

        return await self._freed(order, which, how, audit)

    async def release_of(
        self, principal: Principal, sender: str, ended: Sequence[Decision], order: ReleaseOrder
    ) -> Freed:
        """Free the mail of a sender, or of an account's newcomers, whose decisions have ended (dry_run: would end).

        What is held for what it says itself stays, and what scores like it, unless the sender is said to be harmless:
        that a stolen login is safe again makes the thief's mail no better.
        """
        is_free = order.verdict == "not_spam" if order.content is None else order.content
        which = Which(under=sender) if is_group(sender) else Which(sender=sender)
        before, _ = await self._spool.parked.tally(which)
        if not is_free:
            which = self._harmless(which)
        how = Releasing(principal.id, order.verdict, order.note, ended[0].id if ended else "", at_once=order.at_once)

        async def audit(chosen: Chosen) -> None:
            if chosen.messages:
                await self._note(principal, "held.release", HeldQuery(sender=sender), chosen, order.note)

        # a newcomer who is held for himself meanwhile stays so when the group is released
        freed = await self._freed(order, which, how, audit, may=self._may_move if is_group(sender) else None)
        kept = 0 if freed.is_cut else max(0, before - freed.messages - freed.later)
        return msgspec.structs.replace(freed, sender=sender, decisions=[row.id for row in ended], kept=kept)

    async def drop(self, principal: Principal, order: DropOrder) -> Removed:
        """Delete held messages for good."""
        require(principal, Role.ABUSE)
        if order.message_ids and order.given:
            raise Invalid(_EITHER)
        if not order.message_ids and not order.given:
            return Removed(messages=0, recipients=0, dry_run=order.dry_run)
        which = self._which(principal, order, order.message_ids)

        async def audit(chosen: Chosen) -> None:
            await self._note(principal, "held.drop", order, chosen, order.reason, order.message_ids)

        if order.dry_run:
            chosen = await self.releases.choose(which)
        else:
            chosen = await self.releases.drop(which, principal.id, order.reason, before=audit)
        return Removed(
            messages=len(chosen.messages), recipients=chosen.recipients, is_cut=chosen.is_cut, dry_run=order.dry_run
        )

    async def _freed(
        self,
        order: ReleaseOrder,
        which: Which,
        how: Releasing,
        audit: Callable[[Chosen], Awaitable[None]],
        *,
        may: Callable[[str], bool] | None = None,
    ) -> Freed:
        if order.dry_run:
            chosen = await self.releases.choose(which, may)
            plan = await self.releases.plan(chosen, at_once=order.at_once)
        else:
            chosen, plan = await self.releases.free(which, how, may=may, before=audit)
        is_paced = plan.last_unix > self._clock.unix()
        senders = {choice.sender for choice, _ in plan.leaving}
        return Freed(
            sender=order.sender,
            decisions=[],
            messages=len(plan.leaving),
            recipients=plan.recipients,
            verdict=order.verdict,
            last_at=datetime.fromtimestamp(plan.last_unix, UTC) if is_paced else None,
            later=len(plan.later),
            is_cut=chosen.is_cut,
            undo=shell("sender", "hold", *senders) if is_paced and len(senders) == 1 else "",
            dry_run=order.dry_run,
        )

    def _which(self, principal: Principal, query: HeldQuery, message_ids: Sequence[str] = ()) -> Which:
        """What is asked for, cut to the principal's scope. Raises NotFound for what lies outside it, Invalid."""
        if message_ids:
            self._questions.held_among(principal, list(message_ids))
            return Which(ids=tuple(self._spool.number_of(message_id) for message_id in message_ids))
        if query.sender:
            self._questions.account_of(principal, query.sender)
        if query.account:
            self._check_account(principal, query.account)
        is_of_group = is_group(query.sender)
        return Which(
            sender="" if is_of_group else query.sender,
            under=query.sender if is_of_group else "",
            account=query.account or principal.scope.account or "",
            reseller=principal.scope.reseller,
            cluster=_cluster_number(query.cluster),
            rule=query.rule,
            score_from=_probability("score_from", query.score_from),
            score_to=_probability("score_to", query.score_to),
            since_before_unix=None if query.older_seconds is None else self._clock.unix() - query.older_seconds,
        )

    def _harmless(self, which: Which) -> Which:
        return replace(which, is_own=False, score_below=self._policy().hold_score)

    def _may_move(self, sender: str) -> bool:
        return self._state.state_of(sender).standing not in PARKED

    def _check_account(self, principal: Principal, account: str) -> None:
        words = f"account {account!r}; `mailweir account ls` names them all"
        if not self._state.has_known(account):
            raise NotFound(f"there is no {words}")
        require_sight(principal, account, self._state.reseller_of(account), words)

    def _number(self, message_id: str) -> int:
        number = self._spool.number_of(message_id)
        if number < 0:
            raise Invalid(f"before = {message_id!r}: give the id of the last message of the page before")
        return number

    async def _note(
        self,
        principal: Principal,
        command: str,
        query: HeldQuery,
        chosen: Chosen,
        why: str,
        message_ids: Sequence[str] = (),
    ) -> None:
        """One audit row for each of a few messages that were named ("who let this one out"), one for a whole choice.

        Of a choice the journal names each message, with its author.
        """
        if message_ids and len(chosen.messages) <= _NAMED:
            for choice in chosen.messages:
                act = Act(command, choice.account, choice.message_id, {"sender": choice.sender, "why": why})
                await self._state.note(principal, act)
            return
        asked = query.given
        target = ", ".join(f"{name} {value}" for name, value in asked.items()) or f"{len(message_ids)} named messages"
        accounts = sorted({choice.account for choice in chosen.messages})
        detail: AuditDetail = {
            **asked,
            "messages": len(chosen.messages),
            "recipients": chosen.recipients,
            "accounts": ", ".join(accounts[:_NAMED]),
            "why": why,
        }
        account = query.sender.partition("|")[0] or query.account or (accounts[0] if len(accounts) == 1 else "")
        await self._state.note(principal, Act(command, account, target, detail))


def _cluster_number(name: str) -> int:
    number = name.removeprefix("c")
    if name and not (number.isascii() and number.isdigit() and cluster_name(int(number)) == name):
        raise Invalid(f"cluster = {name!r}: a cluster is written like c17, as `mailweir held ls --by cluster` shows")
    return int(number or 0)


def _probability(name: str, value: float | None) -> float | None:
    if value is not None and not 0 <= value <= 1:
        raise Invalid(f"{name} = {value}: a score lies between 0 and 1")
    return value


def _group_view(group: HeldGroup) -> HeldGroupView:
    return HeldGroupView(
        key=group.key,
        messages=group.messages,
        recipients=group.recipients,
        senders=group.senders,
        first_at=datetime.fromtimestamp(group.first_unix, UTC),
        last_at=datetime.fromtimestamp(group.last_unix, UTC),
        score_from=group.score_from,
        score_to=group.score_to,
        subject=group.subject,
    )
