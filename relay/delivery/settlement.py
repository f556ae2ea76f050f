"""What became of the parcels of one destination: their recipients' outcomes, and what the peers' words teach us."""

import logging

from relay.delivery.channel import Link
from relay.delivery.outcomes import NO_WAY, Way
from relay.delivery.queues import Parcel
from relay.delivery.replies import Category, OwnReply, classify
from relay.delivery.shaping.rules import Kind
from relay.delivery.workshop import Workshop
from relay.reply import Reply

_log = logging.getLogger("mailweir.delivery")


class Settlement:
    """Settles parcels and counts them; recipients since the start, by outcome."""

    def __init__(self, destination: str, shop: Workshop) -> None:
        self._destination, self._shop = destination, shop
        self.delivered = self.deferred = self.bounced = 0

    def settle(self, parcel: Parcel, link: Link | None) -> bool:
        """Record the replies of a parcel; tell whether they have changed what may be sent from the link's source."""
        way, is_changed, has_other = NO_WAY, False, False
        if link is not None and link.connection is not None:
            connection = link.connection
            way = Way(connection.remote, connection.source, connection.tls, connection.passes_dsn)
            for reply in parcel.replies:
                is_changed |= self.learn(link.source.name, reply)
            has_other = is_changed and self._has_other_source(link)
        delivered, deferred, bounced = self._shop.books.settle(
            parcel, self._destination, way, has_other_source=has_other
        )
        self.delivered += delivered
        self.deferred += deferred
        self.bounced += bounced
        return is_changed

    def answer(self, parcel: Parcel, reply: Reply) -> None:
        """Give all recipients the same reply of ours."""
        parcel.replies = [reply] * len(parcel.recipients)
        self.settle(parcel, None)

    def learn(self, source: str, reply: Reply | None) -> bool:
        """Take a peer's reply as evidence about source and pace; tell whether something changed. Ours are none."""
        if reply is None or isinstance(reply, OwnReply):
            return False
        shop, destination, now = self._shop, self._destination, self._shop.clock.unix()
        if reply.is_success:
            shop.shaper.succeeded(destination, source, now)
            shop.egress.succeeded(source, destination, now)
            return False
        is_resting = shop.egress.heard(source, destination, classify(reply).category, reply, now)
        if is_resting:
            _log.warning("source rests destination=%s source=%s reply=%s", destination, source, reply)
        effects = shop.shaper.heard(destination, source, reply, now)
        for effect in effects:
            _log.warning(
                "shaping destination=%s source=%s effect=%s rule=%s until=%.0f reply=%s",
                destination,
                effect.source,
                effect.kind,
                effect.rule,
                effect.until_at,
                reply,
            )
        return is_resting or any(effect.kind is not Kind.BLAME for effect in effects)

    def _has_other_source(self, link: Link) -> bool:
        now = self._shop.clock.unix()
        return self._shop.egress.has_other(link.channel.pool, self._destination, link.source.name, now)


def surplus_of(parcel: Parcel) -> Parcel | None:
    """Take out the recipients beyond the hop's limit (RFC 5321 4.5.3.1.10): they follow at once in a transaction of
    their own. None: there are none, or nobody was taken."""
    replies = [reply for reply in parcel.replies if reply is not None]
    if len(replies) < 2 or not any(reply.is_success for reply in replies):
        return None
    pairs = list(zip(parcel.recipients, replies, strict=True))
    surplus = [recipient for recipient, reply in pairs if _is_surplus(reply)]
    if not surplus:
        return None
    kept = [(recipient, reply) for recipient, reply in pairs if not _is_surplus(reply)]
    parcel.recipients, parcel.replies = [recipient for recipient, _ in kept], [reply for _, reply in kept]
    return parcel.part(surplus)


def _is_surplus(reply: Reply) -> bool:
    return reply.code in (452, 552) and classify(reply).category is Category.TOO_MANY_RECIPIENTS
