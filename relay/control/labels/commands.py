"""Labels: what people say of messages, for the model to learn from. Journaled; analytics joins them by message id.

Weights: a person who says what one message is, 1. Who releases or confirms a sender judges several at once: less.
"""

from collections.abc import Sequence

from relay.control.access import require, require_whole_tree, sees
from relay.control.audit.chain import Act
from relay.control.errors import Invalid
from relay.control.labels.views import LabelDone, LabelOrder
from relay.control.state.memory import State
from relay.events import Label
from relay.spool.held import Choice
from relay.spool.journal import Journal
from relay.spool.store import HeldMessage, Spool
from relay.tree import Principal, Role

BY_HAND, RELEASED, CONFIRMED = 1.0, 0.7, 0.7
_MOST = 1000


class LabelDesk:
    """Takes labels from people, and from what people do with held mail."""

    def __init__(self, state: State, spool: Spool, journal: Journal) -> None:
        self._state, self._spool, self._journal = state, spool, journal

    async def label(self, principal: Principal, order: LabelOrder) -> LabelDone:
        """Say what messages are. Who sees a part of the tree only may label what is held there."""
        require(principal, Role.ABUSE)
        if not 1 <= len(order.message_ids) <= _MOST or not all(order.message_ids):
            raise Invalid(f"message_ids: give 1 to {_MOST} message ids")
        held = {message.message_id: message for message in self._spool.held_of(dict.fromkeys(order.message_ids))}
        seen = {name: m for name, m in held.items() if sees(principal, m.account, m.reseller)}
        if any(name not in seen for name in order.message_ids):
            require_whole_tree(principal, "label mail that is not held in it")
        if not order.dry_run:
            for name in dict.fromkeys(order.message_ids):
                message = held.get(name)
                account = message.account if message else ""
                act = Act("label", account, name, {"label": order.label, "why": order.why})
                await self._state.note(principal, act)
                self._append(name, message, order.label, "operator", BY_HAND, principal.id, order.why)
        names = " ".join(order.message_ids[:20])
        undo = "" if order.label == "unsure" else f"mailweir label {names} unsure"
        return LabelDone(messages=len(order.message_ids), label=order.label, undo=undo, dry_run=order.dry_run)

    def released(self, messages: Sequence[HeldMessage | Choice], author: str, why: str) -> None:
        """Held mail went out as not spam. Its release is audited already."""
        for message in messages:
            self._append(message.message_id, message, "ham", "release", RELEASED, author, why)

    def confirmed(self, message_ids: Sequence[str], author: str, why: str) -> None:
        """A decision was confirmed: the bad messages it rests on are bad."""
        for name in message_ids:
            self._append(name, None, "spam", "confirm", CONFIRMED, author, why)

    def _append(
        self,
        name: str,
        message: HeldMessage | Choice | None,
        label: str,
        origin: str,
        weight: float,
        author: str,
        why: str,
    ) -> None:
        self._journal.append(
            Label(
                **self._journal.stamp(),
                message_id=name,
                account=message.account if message else "",
                reseller=message.reseller if message else "",
                sender=message.sender if message else "",
                label=label,
                origin=origin,
                weight=weight,
                author=author,
                why=why[:500],
            )
        )
