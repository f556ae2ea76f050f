"""Commands on mail that waits: look at it, try it now, take it out, let it lie.

Each takes its Principal first, checks role and scope, and is audited.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from relay.clock import Clock
from relay.control.access import require, require_sight, require_whole_tree, sees
from relay.control.audit.chain import Act
from relay.control.checks import checked_domain, shell
from relay.control.errors import Conflict, Invalid, NotFound
from relay.control.state.memory import State
from relay.control.views import AuditDetail
from relay.control.waiting.views import PauseDone, PauseOrder, PauseView, QueueDone, QueuedView, QueueOrder, QueueView
from relay.delivery.pauses import Pause, Paused
from relay.delivery.replies import Category, OwnReply
from relay.spool.census import Selection, Waiting
from relay.spool.store import Spool
from relay.tree import Principal, Role

if TYPE_CHECKING:
    from relay.delivery.courier import Courier

BY_HAND = "by-hand"

_MOST_RETRIED = 100_000
_MOST_BOUNCED = 10_000  # each is a report, and in memory until it is stored
_SLICE = 50
_OPTIONS = {Paused.DESTINATION: "--dest", Paused.ACCOUNT: "--account", Paused.SENDER: "--sender"}


class QueueDesk:
    """account_of(principal, sender) gives the account in a sender's key, or raises NotFound."""

    def __init__(
        self,
        *,
        state: State,
        spool: Spool,
        courier: "Courier",
        clock: Clock,
        account_of: Callable[[Principal, str], str],
    ) -> None:
        self._state, self._spool, self._courier, self._clock = state, spool, courier, clock
        self._account_of = account_of

    async def list(self, principal: Principal, order: QueueOrder, limit: int) -> QueueView:
        """Recipients that wait, and the pauses."""
        require(principal, Role.VIEWER)
        found = await self._spool.backlog.choose(self._selection(principal, order), limit + 1)
        pauses = [self._pause_view(pause) for pause in self._state.pauses if self._is_seen(principal, pause)]
        return QueueView(
            recipients=[self._view(one) for one in found[:limit]], pauses=pauses, is_cut=len(found) > limit
        )

    async def show(self, principal: Principal, message_id: str) -> QueueView:
        """What waits of one message. Raises NotFound."""
        view = await self.list(principal, QueueOrder(message=message_id), _MOST_BOUNCED)
        if not view.recipients:
            raise NotFound(f"nothing of message {message_id!r} waits; `mailweir why` says what became of it")
        return view

    async def retry(self, principal: Principal, order: QueueOrder) -> QueueDone:
        """Have mail tried now instead of at its due time."""
        require(principal, Role.OPERATOR)
        found, is_cut = await self._chosen(principal, order, _MOST_RETRIED)
        done = self._done(found, is_cut, order)
        if not order.dry_run and found:
            await self._note(principal, "queue.retry", order, done)
            await self._spool.backlog.make_due([one.recipient_id for one in found], self._clock.unix())
            self._courier.wake()
            self._courier.look_again(order.destination)
        return done

    async def bounce(self, principal: Principal, order: QueueOrder) -> QueueDone:
        """Fail mail for good, without another try; its senders are told as if its time were over."""
        require(principal, Role.OPERATOR)
        reason = order.reason.strip()
        if not reason or not reason.isprintable():
            raise Invalid("reason = '': say why in a line; the senders read it in their reports")
        found, is_cut = await self._chosen(principal, order, _MOST_BOUNCED)
        if order.dry_run:
            return self._done(found, is_cut, order)
        await self._note(principal, "queue.bounce", order, self._done(found, is_cut, order))
        books = self._courier.books
        # claimed before the spool is asked: no try begins meanwhile, and what ended before has left it by then
        claimed = books.claim(one.recipient_id for one in found)
        queued = await self._spool.backlog.still_queued(claimed)
        books.by_hand.unclaim(claimed.difference(one.id for one in queued))
        reply = OwnReply(554, "5.0.0", f"taken out of the queue by {principal.id}: {reason}", Category.MESSAGE_EXPIRED)
        for count, (_, members) in enumerate(groupby(queued, key=lambda one: one.message.id), 1):
            books.bounce(list(members), reply, BY_HAND)
            if count % _SLICE == 0:  # 0.1 ms each, for the report
                await asyncio.sleep(0)
        ended = {one.id for one in queued}
        return self._done([one for one in found if one.recipient_id in ended], is_cut, order, len(found))

    async def pause(self, principal: Principal, order: PauseOrder) -> PauseDone:
        """Let the mail of a destination, an account or a sender lie; new mail of it is taken all the same."""
        kind, key, account = self._which(principal, order)
        if self._state.pauses.get(kind, key) is not None:
            raise Conflict(f"{kind} {key!r} is paused already; `mailweir queue ls` says by whom")
        pause = Pause(kind, key, principal.id, order.reason, self._clock.now())
        if not order.dry_run:
            act = Act("queue.pause", account, f"{kind} {key}", {"reason": order.reason})
            await self._state.pause(kind, key, pause, principal, act)
        view = self._pause_view(pause)
        return PauseDone(pause=view, undo=view.undo, dry_run=order.dry_run)

    async def resume(self, principal: Principal, order: PauseOrder) -> PauseDone:
        """End a pause; what came due meanwhile is tried now."""
        kind, key, account = self._which(principal, order)
        pause = self._state.pauses.get(kind, key)
        if pause is None:
            raise NotFound(f"{kind} {key!r} is not paused")
        if not order.dry_run:
            act = Act("queue.resume", account, f"{kind} {key}", {"paused_by": pause.author})
            await self._state.pause(kind, key, None, principal, act)
            self._courier.wake()
        undo = shell("queue", "pause", _OPTIONS[kind], key, "--reason", pause.reason)
        return PauseDone(pause=self._pause_view(pause), undo=undo, dry_run=order.dry_run)

    async def _chosen(self, principal: Principal, order: QueueOrder, most: int) -> tuple[Sequence[Waiting], bool]:
        if not (order.destination or order.account or order.sender or order.message):
            raise Invalid("say which mail: destination, account, sender or message")
        found = await self._spool.backlog.choose(self._selection(principal, order), most + 1)
        return found[:most], len(found) > most

    def _selection(self, principal: Principal, order: QueueOrder) -> Selection:
        """What is asked for, cut to the principal's scope."""
        if order.sender:
            self._account_of(principal, order.sender)
        for account in {order.account, principal.scope.account or order.account} - {""}:
            self._check_account(principal, account)
        if order.account and principal.scope.account not in (None, order.account):
            raise NotFound(f"there is no account {order.account!r}")
        return Selection(
            destination=order.destination.lower(),
            account=principal.scope.account or order.account,
            sender=order.sender,
            message=self._number(order.message) if order.message else 0,
            reseller=principal.scope.reseller,
        )

    def _check_account(self, principal: Principal, account: str) -> None:
        if not self._state.has_known(account):
            raise NotFound(f"there is no account {account!r}; `mailweir account ls` names them all")
        require_sight(principal, account, self._state.reseller_of(account), f"account {account!r}")

    def _number(self, message_id: str) -> int:
        number = self._spool.number_of(message_id)
        if number < 0:
            raise NotFound(f"there is no message {message_id!r} in this node's queue")
        return number

    def _which(self, principal: Principal, order: PauseOrder) -> tuple[Paused, str, str]:
        """Kind and key of a pause, and the account it is about ("" for a destination)."""
        require(principal, Role.OPERATOR)
        given = [name for name in (order.destination, order.account, order.sender) if name]
        if len(given) != 1:
            raise Invalid("say one of destination, account and sender")
        if order.destination:
            require_whole_tree(principal, "pause a destination for everybody")
            return Paused.DESTINATION, checked_domain(order.destination), ""
        if order.account:
            self._check_account(principal, order.account)
            return Paused.ACCOUNT, order.account, order.account
        return Paused.SENDER, order.sender, self._account_of(principal, order.sender)

    def _is_seen(self, principal: Principal, pause: Pause) -> bool:
        if pause.kind is Paused.DESTINATION:
            return principal.scope.account is None and principal.scope.reseller is None
        account = pause.key.partition("|")[0]
        return sees(principal, account, self._state.reseller_of(account))

    def _done(self, found: Sequence[Waiting], is_cut: bool, order: QueueOrder, chosen: int = 0) -> QueueDone:
        is_in_flight = self._courier.books.is_in_flight
        busy = chosen - len(found) if chosen else sum(is_in_flight(one.recipient_id) for one in found)
        return QueueDone(
            recipients=len(found) if chosen else len(found) - busy,
            messages=len({one.message for one in found}),
            busy=busy,
            is_cut=is_cut,
            dry_run=order.dry_run,
        )

    async def _note(self, principal: Principal, command: str, order: QueueOrder, done: QueueDone) -> None:
        account = order.account or order.sender.partition("|")[0] or principal.scope.account or ""
        given = {"destination": order.destination, "sender": order.sender, "message": order.message}
        target = ", ".join(f"{name} {value}" for name, value in given.items() if value) or f"account {account}"
        detail: AuditDetail = {"recipients": done.recipients, "messages": done.messages, "reason": order.reason}
        await self._state.note(principal, Act(command, account, target, detail))

    def _view(self, one: Waiting) -> QueuedView:
        pause = self._state.pauses.on(one.destination, one.account, one.sender)
        return QueuedView(
            recipient_id=one.recipient_id,
            recipient=one.recipient,
            destination=one.destination,
            message_id=one.message_id,
            account=one.account,
            reseller=one.reseller,
            sender=one.sender,
            mail_from=one.mail_from,
            subject=one.subject,
            received_at=datetime.fromtimestamp(one.received_unix, UTC),
            attempts=one.attempts,
            due_at=None if one.due_unix is None else datetime.fromtimestamp(one.due_unix, UTC),
            is_in_flight=self._courier.books.is_in_flight(one.recipient_id),
            paused_by=pause.kind.value if pause else "",
        )

    def _pause_view(self, pause: Pause) -> PauseView:
        return PauseView(
            kind=pause.kind.value,
            key=pause.key,
            author=pause.author,
            reason=pause.reason,
            since=pause.since,
            undo=shell("queue", "resume", _OPTIONS[pause.kind], pause.key),
        )
