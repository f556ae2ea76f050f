"""What one notice says: looked up when its mail is made, so that it tells how things stand now."""

from collections.abc import Sequence
from datetime import UTC, datetime

from relay.control.state.memory import State
from relay.notices import texts
from relay.notices.addressee import contact_of
from relay.notices.mail import Item
from relay.notices.self_release import SelfRelease
from relay.policy.decisions.decision import Decision, Effect
from relay.policy.decisions.why import facts, undo, when
from relay.resellers.brand import NO_BRAND, Brand
from relay.settings import Settings
from relay.spool.notices import Audience, Notice
from relay.spool.store import HeldMessage, Spool

STOPPED, RELEASED, EXPIRING = "stopped", "released", "expiring"  # kinds of notices

_MESSAGES = 5  # named in a notice; a person who wants all asks `mailweir held ls`


class Items:
    """Makes them for one relay."""

    def __init__(self, state: State, spool: Spool, releases: SelfRelease, settings: Settings) -> None:
        self._state, self._spool, self._releases, self._settings = state, spool, releases, settings

    def take_up(self, settings: Settings) -> None:
        self._settings = settings

    def of(self, notice: Notice, now: datetime) -> Item | None:
        """Return what a notice says; None when there is nothing to say any more."""
        if notice.kind == EXPIRING:
            return self._expiring(notice)
        decision = self._state.decision(notice.ref)
        if decision is None:
            return None
        lasting = self._state.standings.lasting(decision)
        if notice.kind == RELEASED:
            return Item(texts.headline(Effect.RELEASE), (facts(lasting, now),))
        if notice.is_postponed and not self._state.standings.in_force(decision, now):
            return None  # the same was told an interval ago, and is over
        return self._stopped(notice, decision, facts(lasting, now))

    def _stopped(self, notice: Notice, decision: Decision, said: str) -> Item:
        waiting = self._spool.held_count(sender=notice.sender)
        evidence = decision.proposal.evidence.get("messages", [])
        bad = [str(name) for name in evidence][-_MESSAGES:] if isinstance(evidence, list) else []
        effect = decision.proposal.effect
        paragraphs = [said, f"{texts.meaning(effect)} {texts.ends(self._state.standings.lasting(decision))}"]
        if waiting:
            paragraphs.append(f"Messages of it that wait now: {waiting}.")
        if bad:
            lines = _named("Messages that led to it:", bad, self._spool.held_of(bad))
        else:
            lines = _some("Messages that wait:", self._spool.held(notice.sender, None, _MESSAGES))
        if notice.audience is Audience.DESK:
            return Item(texts.headline(effect), tuple(paragraphs), (*lines, *self._for_desk(decision)))
        return Item(texts.headline(effect), (*paragraphs, texts.ADVICE), (*lines, *self._way_out(decision)))

    def _expiring(self, notice: Notice) -> Item:
        ids = notice.ref.split()
        ends = when(datetime.fromtimestamp(float(notice.detail), UTC))
        named = ids[:_MESSAGES]
        said = f"Held mail of sender {notice.sender} is deleted on {ends} unless released before: {len(ids)} messages."
        lines = _named("They are:", named, self._spool.held_of(named))
        if len(ids) > _MESSAGES:
            lines.append(f"  and {len(ids) - _MESSAGES} more")
        decision = self._state.state_of(notice.sender).decision
        if notice.audience is Audience.DESK:
            lines.append("See them: mailweir held ls")
        elif decision is not None:
            lines += self._way_out(decision)
        else:
            lines.append(texts.write_to(self._contact(notice.account), "their ids"))
        return Item(texts.EXPIRY_HEADLINE, (said,), tuple(lines))

    def _way_out(self, decision: Decision) -> list[str]:
        lines, url = [], self._releases.url(decision)
        if url:
            lines += ["The messages are yours? This page shows them and asks whether to release them, once:", url]
        elif (why := self._releases.hindered(decision)) is not None:
            lines.append(texts.hindered(why))
        return [*lines, texts.write_to(self._contact(decision.proposal.account), f"decision {decision.id}")]

    def _contact(self, account: str) -> str:
        return contact_address(self._settings, self._state.brands.of_account(account))

    def _for_desk(self, decision: Decision) -> list[str]:
        contact = contact_of(self._state.accounts.get(decision.proposal.account))
        heard = f"{contact} was told." if contact else "The account has no contact: nobody else was told."
        return [f"Undo: {undo(decision)}", f"More: mailweir why {decision.id}", heard]


def contact_address(settings: Settings, brand: Brand = NO_BRAND) -> str:
    """Return the address that customers write to."""
    return brand.reply_to or settings.node.abuse_contact or f"postmaster@{settings.node.hostname}"


def _named(title: str, ids: Sequence[str], held: Sequence[HeldMessage]) -> list[str]:
    subjects = {message.message_id: message.subject for message in held}
    return [title, *(_line(name, subjects.get(name, "")) for name in ids)]


def _some(title: str, held: Sequence[HeldMessage]) -> list[str]:
    return [title, *(_line(one.message_id, one.subject) for one in held[:_MESSAGES])] if held else []


def _line(message_id: str, subject: str) -> str:
    return f'  {message_id} "{texts.redacted(subject)}"' if subject else f"  {message_id}"
