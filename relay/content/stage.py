"""Makes the content stage of one relay: workers that score and sign, or none where there is nothing for them to do."""

import os
from collections.abc import Sequence

from relay.content.active import active_model
from relay.content.bare import BareContent
from relay.content.protocol import CustomerKey, Signer
from relay.content.workers import ContentPool
from relay.delivery.signing.dkim_keys import ensure_key
from relay.domains.book import DomainBook
from relay.settings import Settings


def content_stage(settings: Settings, book: DomainBook) -> tuple[ContentPool | BareContent, list[Signer]]:
    """Return it, not yet started, and the relay's own signatures. Raises OSError, ValueError for the relay's key."""
    keys: dict[str, bytes] = {}
    signers: list[Signer] = []
    dkim = settings.dkim
    if dkim.domain:
        path = dkim.key or settings.dir / "dkim" / f"{dkim.domain}.{dkim.selector}.pem"
        key_id = f"{dkim.selector}.{dkim.domain}"
        keys[key_id] = ensure_key(path)
        signers.append(Signer(domain=dkim.domain, selector=dkim.selector, key_id=key_id))

    def pool(customers: Sequence[CustomerKey]) -> ContentPool:
        return ContentPool(
            model=active_model(settings),
            keys=keys,
            workers=settings.content.workers or len(os.sched_getaffinity(0)),
            timeout_seconds=settings.content.timeout_seconds,
            customers=customers,
            rules=settings.content.rules,
        )

    customers = book.in_use()
    is_bare = settings.content.model == "none" and not signers and not customers
    content = BareContent(pool) if is_bare else pool(customers)
    book.on_change = content.change_keys
    return content, signers
