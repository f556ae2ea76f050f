"""Links by which a customer releases a sender: signed, for one decision and whoever was told of it, and not for long.

Nothing is stored for one. It works while its decision is in force, so it dies with its first use.
"""

import base64
import hashlib
import hmac
import struct
from dataclasses import dataclass

LASTS_SECONDS = 7 * 86_400.0  # held mail expires then (spec 2.5): a later click would free nothing
TOKEN_CHARACTERS = 200

_VERSION = 1
_MAC_BYTES = 16
_head = struct.Struct(">BI")


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a token says, before anybody knows that it is genuine."""

    decision_id: str
    expires_unix: float
    mac: bytes


class ReleaseLinks:
    """Makes and checks the tokens of one node."""

    def __init__(self, secret: bytes) -> None:
        self._key = hashlib.blake2b(secret, digest_size=32, person=b"release link").digest()

    def token(self, decision_id: str, holder: str, expires_unix: float) -> str:
        """Return the text that stands in a link: letters, digits, - and _. `holder`: the contact's address."""
        head = _head.pack(_VERSION, int(expires_unix))
        mac = self._mac(decision_id, holder, int(expires_unix))
        return base64.urlsafe_b64encode(head + mac + decision_id.encode()).rstrip(b"=").decode()

    def is_genuine(self, ticket: Ticket, holder: str) -> bool:
        """Tell whether we made it for that holder; a contact that was replaced meanwhile is none."""
        mac = self._mac(ticket.decision_id, holder, int(ticket.expires_unix))
        return hmac.compare_digest(ticket.mac, mac)

    def _mac(self, decision_id: str, holder: str, expires: int) -> bytes:
        text = "\0".join((str(_VERSION), decision_id, str(expires), holder.lower()))
        return hmac.digest(self._key, text.encode("utf-8", "surrogateescape"), "sha256")[:_MAC_BYTES]


def read_token(token: str) -> Ticket | None:
    """Return what a text in the form of a token says, None for any other."""
    if len(token) > TOKEN_CHARACTERS:
        return None
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        version, expires = _head.unpack_from(sealed)
        decision_id = sealed[_head.size + _MAC_BYTES :].decode("ascii")
        is_exact = base64.urlsafe_b64encode(sealed).rstrip(b"=") == token.encode("ascii")
    except (ValueError, struct.error):
        return None
    if version != _VERSION or not decision_id or not is_exact:  # one spelling of each token
        return None
    return Ticket(decision_id, float(expires), sealed[_head.size : _head.size + _MAC_BYTES])
