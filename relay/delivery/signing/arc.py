"""Our ARC set on forwarded mail (RFC 8617): what we know of it, the message as we pass it on, and the seal over both.

A receiver that trusts us sees by it that the chain was whole when it reached us. What we do not know we do not say: SPF
and DKIM are not evaluated here, so the results name the chain alone.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa

from relay.delivery.signing.arc_chain import Chain, Validation, sealed_data
from relay.delivery.signing.dkim import Covered, Field, relaxed, signed_text
from relay.delivery.signing.dkim_keys import PrivateKey


@dataclass(frozen=True, slots=True)
class Sealer:
    """Who seals: `hostname` is the name in the results."""

    hostname: str
    domain: str
    selector: str
    key: PrivateKey


def arc_set(chain: Chain, validation: Validation, covered: Covered, sealer: Sealer, now_unix: float) -> list[Field]:
    """Return the three fields to put on top. `validation` is none, pass or fail, of the chain that is there.

    Over a broken chain the seal covers its own set only, as nobody knows what the others are (RFC 8617 5.1.2).
    """
    has_failed = validation is Validation.FAIL
    instance = chain.next_instance
    algorithm = b"rsa-sha256" if isinstance(sealer.key, rsa.RSAPrivateKey) else b"ed25519-sha256"
    who = b" i=%d; a=%s; d=%s; s=%s; t=%d;" % (
        instance,
        algorithm,
        sealer.domain.encode(),
        sealer.selector.encode(),
        now_unix,
    )
    cv = validation.value.encode()
    results = b" i=%d; %s; arc=%s" % (instance, sealer.hostname.encode(), cv)
    message = who + b"\r\n\tc=relaxed/relaxed; h=%s;\r\n\tbh=%s;\r\n\tb=" % (covered.names, covered.body)
    message += signed_text(covered.lines + b"arc-message-signature:" + relaxed(message), sealer.key)
    seal = who + b" cv=%s;\r\n\tb=" % cv
    seal += signed_text(sealed_data([] if has_failed else chain.sets, results, message, seal), sealer.key)
    return [(b"ARC-Seal", seal), (b"ARC-Message-Signature", message), (b"ARC-Authentication-Results", results)]
