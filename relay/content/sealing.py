"""ARC in the content stage: the chain on a forwarded message is checked once, then each form of it is sealed."""

import base64
import hashlib
from collections.abc import Callable

from relay.content.head import Head
from relay.content.keyring import KeyRing
from relay.content.protocol import ContentRequest
from relay.content.window import Content
from relay.delivery.signing.arc import Sealer, arc_set
from relay.delivery.signing.arc_chain import MOST_SETS, Validation, chain_of, is_ended, validate
from relay.delivery.signing.dkim import Covered, Field

Sealing = Callable[[Covered], list[Field]]


def sealing_of(request: ContentRequest, head: Head, content: Content, body: bytes, ring: KeyRing) -> Sealing | None:
    """Return what seals this message, None where none is asked for or it must not be. `body`: its relaxed bh=.

    A chain that could not be checked is left as it is: a seal says what we found, and we found nothing.
    """
    order = request.arc
    if order is None:
        return None
    chain = chain_of(head.fields)
    if is_ended(head.fields) or chain.next_instance > MOST_SETS:
        return None

    def body_hash(is_relaxed: bool) -> bytes | None:
        return body if is_relaxed else _simple(content, head.body_at)

    validation = validate(chain, head.fields, body_hash, order.keys)
    if validation is Validation.UNKNOWN:
        return None
    [own] = ring.own([order.signer])
    sealer = Sealer(request.hostname, own.domain, own.selector, own.key)
    return lambda covered: arc_set(chain, validation, covered, sealer, request.received_unix)


def _simple(content: Content, body_at: int) -> bytes | None:
    """The hash of the body as it is (RFC 6376 3.4.3); None for a large one, whose pieces we do not read twice."""
    if not isinstance(content, bytes):
        return None
    body = content[body_at:]
    while body.endswith(b"\r\n\r\n"):
        body = body[: len(body.rstrip(b"\r\n")) + 2]
    body = b"\r\n" if body in (b"", b"\r\n") else body if body.endswith(b"\r\n") else body + b"\r\n"
    return base64.b64encode(hashlib.sha256(body).digest())
