"""What follows from a click on an unsubscribe link, or from the mail that one makes: a row of the suppression list, a
journal record, a count."""

from relay.clock import Clock
from relay.control.audit.chain import Act
from relay.control.state.memory import State
from relay.control.suppression.suppressed import Reason, Suppression
from relay.events import Unsubscribe
from relay.front.web.login import Networks
from relay.front.web.unsubscribe import UnsubscribePages
from relay.metrics import Metrics
from relay.returns.feedback import UnsubscribeTokens, Wish
from relay.spool.journal import Journal
from relay.tree import Principal, Role

_RECIPIENT = Principal("recipient", Role.ABUSE)  # who has the link was sent the mail; he decides for his address alone
_AS_GOOD = (Reason.UNSUBSCRIBE, Reason.COMPLAINT)


class Unsubscribing:
    """Notes wishes for one relay."""

    def __init__(
        self, state: State, journal: Journal, metrics: Metrics, tokens: UnsubscribeTokens, clock: Clock
    ) -> None:
        self._state, self._journal, self._metrics, self._tokens, self._clock = state, journal, metrics, tokens, clock

    def pages(self, proxies: Networks) -> UnsubscribePages:
        """Return the pages that take the clicks."""
        return UnsubscribePages(
            read=self._read,
            note=self._note,
            author_of=self._author_of,
            brands=self._state.brands,
            clock=self._clock,
            proxies=proxies,
        )

    async def by_mail(self, token: str, client_ip: str) -> bool:
        """Note the wish of a token that came by mail; return whether it is one of ours, after the commit."""
        wish = self._read(token)
        if wish is not None:
            await self._note(wish, "mail", client_ip)
        return wish is not None

    def _read(self, token: str) -> Wish | None:
        wish = self._tokens.wish(token)
        return wish if wish is not None and self._state.has_known(wish.account) else None

    async def _note(self, wish: Wish, method: str, client_ip: str) -> None:
        """Put the address on the account's list; return after the commit. What is there for good already is kept."""
        known = self._state.suppression.own(wish.account, wish.address)
        if known is not None and known.ends_at is None and known.reason in _AS_GOOD:
            return
        evidence = f"{method} on message {wish.message_id}"
        row = Suppression(wish.account, wish.address, Reason.UNSUBSCRIBE, evidence)
        act = Act("suppression.unsubscribe", wish.account, wish.address, {"message": wish.message_id, "way": method})
        await self._state.suppression.put([row], _RECIPIENT, act)
        self._journal.append(
            Unsubscribe(
                **self._journal.stamp(),
                message_id=wish.message_id,
                account=wish.account,
                reseller=self._state.reseller_of(wish.account),
                recipient=wish.address,
                method=method,
                client_ip=client_ip,
            )
        )
        self._metrics.unsubscriptions.labels(method).inc()

    def _author_of(self, account: str) -> str:
        """Its first domain: readers know that one, the account's name they do not."""
        known = self._state.accounts.get(account) or self._state.removed[account]
        return known.domains[0] if known.domains else account
