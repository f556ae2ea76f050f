"""The customer's own way out: the link in a notice, what it shows, and the release that follows a confirmed click.

The release is a decision of `link:<contact>` like anybody's, audited; mail leaves as after any release.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from relay.clock import Clock
from relay.control.state.memory import State
from relay.control.views import Freed, ReleaseOrder
from relay.control.webhooks.views import ReleaseLink
from relay.notices.addressee import contact_of
from relay.notices.release_links import LASTS_SECONDS, ReleaseLinks, read_token
from relay.notices.texts import hindered
from relay.policy.decisions.decision import Decision
from relay.policy.decisions.self_release import AUTHOR, Hindrance, hindrance, is_stop
from relay.settings import Settings
from relay.spool.store import HeldMessage, Spool
from relay.tree import Principal, Role, Scope

_log = logging.getLogger("mailweir.control")

SHOWN = 10  # messages on the page

_Release = Callable[[Principal, str, ReleaseOrder], Awaitable[Freed]]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a genuine link is about: its decision, who holds it, what hinders it (None: nothing), what waits.

    `held` are the latest of the `waiting` messages: a page that anybody may open must not read 20,000 of them.
    """

    decision: Decision
    holder: str
    hindrance: Hindrance | None
    held: tuple[HeldMessage, ...]
    waiting: int


class SelfRelease:
    """Makes links and honours them. `is_malware` tells of the rule that parked a message."""

    def __init__(
        self,
        *,
        state: State,
        spool: Spool,
        clock: Clock,
        links: ReleaseLinks,
        settings: Callable[[], Settings],
        release: _Release,
        is_malware: Callable[[str], bool],
    ) -> None:
        self._state, self._spool, self._clock, self._links = state, spool, clock, links
        self._settings, self._release, self._is_malware = settings, release, is_malware

    def url(self, decision: Decision) -> str:
        """Return the link that releases a decision's sender; "" when its contact may not, or no page is public."""
        public_url, holder = self._settings().web.public_url, self._holder(decision)
        base = self._state.brands.release_base(decision.proposal.account, public_url)
        if not base or not holder or self.hindered(decision) is not None:
            return ""
        return f"{base}/r/{self._links.token(decision.id, holder, self._clock.unix() + LASTS_SECONDS)}"

    def link(self, decision: Decision) -> ReleaseLink:
        """Return the link, or why there is none."""
        if url := self.url(decision):
            return ReleaseLink(url=url)
        why = self.hindered(decision)
        if why is not None:
            return ReleaseLink(url="", why=hindered(why))
        is_public = self._settings().web.public_url
        return ReleaseLink(url="", why="the account has no contact" if is_public else "web.public_url is not set")

    def hindered(self, decision: Decision) -> Hindrance | None:
        """Return what keeps a decision's contact from releasing its sender."""
        account = self._state.accounts.get(decision.proposal.account)
        if not self._settings().policy.self_release:
            return Hindrance.OFF
        if account is None or account.is_suspended:
            return Hindrance.SUSPENDED
        standings, now = self._state.standings, self._clock.now()
        rows = standings.of(decision.proposal.sender)
        in_force = [row for row in rows if standings.in_force(row, now)]
        is_confirmed = any(standings.confirmed_by(row) for row in in_force)
        found = hindrance(decision, in_force, rows, is_confirmed=is_confirmed)
        if found is None and any(map(self._is_malware, self._spool.held_rules(decision.proposal.sender))):
            return Hindrance.MALWARE
        return found

    def offer(self, token: str) -> Offer | None:
        """Return what a link is about; None for one that is not ours, too old, or of a contact who was replaced."""
        ticket = read_token(token)
        if ticket is None or ticket.expires_unix < self._clock.unix():
            return None
        decision = self._state.decision(ticket.decision_id)
        if decision is None or not is_stop(decision):
            return None
        holder = self._holder(decision)
        if not holder or not self._links.is_genuine(ticket, holder):
            return None
        sender = decision.proposal.sender
        held = tuple(self._spool.held(sender, None, SHOWN))
        return Offer(decision, holder, self.hindered(decision), held, self._spool.held_count(sender=sender))

    async def release(self, token: str, client_ip: str) -> tuple[Offer | None, Freed | None]:
        """Release the sender; return the offer as it was, and what came of it (None: refused). Raises StateFailure.

        Of two clicks at once one finds that it is over: the decision is in force in memory before the first await.
        """
        offer = self.offer(token)
        if offer is None or offer.hindrance is not None:
            return offer, None
        proposal = offer.decision.proposal
        principal = Principal(f"{AUTHOR}{offer.holder}", Role.ABUSE, Scope(account=proposal.account))
        note = f"released by the link of decision {offer.decision.id}, from {client_ip}"
        order = ReleaseOrder(note=note, content=True)  # the page has shown all of it
        freed = await self._release(principal, proposal.sender, order)
        _log.info("released by link sender=%s decision=%s by=%s", proposal.sender, offer.decision.id, offer.holder)
        return offer, freed

    def _holder(self, decision: Decision) -> str:
        return contact_of(self._state.accounts.get(decision.proposal.account))
