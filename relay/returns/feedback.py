"""Header lines by which the outside answers: Feedback-ID to providers, List-Unsubscribe to people.

The token of an unsubscribe link carries account, address and message, encrypted and authenticated by one key of this
node (AES-SIV, RFC 5297: 128 bits of authentication, no nonce to get wrong). Nothing is stored for it, so it works for
as long as the node's secret.key stays; nobody can read it, alter it, or make one.
"""

import base64
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from relay.account import Account
from relay.delivery.headers import feedback_line
from relay.envelope import Submission
from relay.front.identity_plan import FORWARDED
from relay.resellers.brand import Brands
from relay.settings import Settings
from relay.tree import SenderId

TOKEN_CHARACTERS = 700  # account 64, address 320, message id 40 bytes and the tag, in base64

_VERSION = b"\x01"
_CONTEXT = [b"mailweir unsubscribe", _VERSION]
_wish_fields = re.compile(
    rb"^X-Mailweir-Unsubscribe[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)\r\n", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Wish:
    """No more mail of this account to this address; said by a link in this message."""

    account: str
    address: str
    message_id: str


class UnsubscribeTokens:
    """Makes and reads the tokens of one node."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESSIV(hashlib.blake2b(secret, digest_size=64, person=b"unsubscribe").digest())

    def token(self, wish: Wish) -> str:
        """Return the text that stands in a link: letters, digits, - and _."""
        plain = "\0".join((wish.account, wish.message_id, wish.address.lower())).encode("utf-8", "surrogateescape")
        sealed = _VERSION + self._cipher.encrypt(plain, _CONTEXT)
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def wish(self, token: str) -> Wish | None:
        """Return what a token of ours says, None for any other text."""
        if len(token) > TOKEN_CHARACTERS:
            return None
        try:
            sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
            if sealed[:1] != _VERSION:
                return None
            plain = self._cipher.decrypt(sealed[1:], _CONTEXT).decode("utf-8", "surrogateescape")
        except (ValueError, InvalidTag):
            return None
        account, message_id, address = plain.split("\0", 2)
        return Wish(account, address, message_id)


class FeedbackHeaders:
    """The lines of one relay's mail."""

    def __init__(self, settings: Settings, secret: bytes, brands: Brands) -> None:
        self.tokens = UnsubscribeTokens(secret)
        self._settings, self._secret, self._brands = settings, secret, brands

    def take_up(self, settings: Settings) -> None:
        self._settings = settings

    def offered(self, account: Account, sender: SenderId) -> list[bytes]:
        """Return the lines for a message that has none of their names."""
        sender_id = self._settings.headers.feedback_id
        return [feedback_line(self._secret, account.reseller, account.name, sender.key, sender_id)] if sender_id else []

    def own(self, submission: Submission, sender: SenderId, message_id: str) -> list[bytes]:
        """Return the list headers of each recipient; [] where the message gets none.

        Neither bounces nor mail that is only passed on are the account's to offer.
        """
        account, url = submission.account, self._settings.web.public_url
        if not (account.list_unsubscribe and url and submission.mail_from) or sender.kind == FORWARDED:
            return []
        if is_unwanted(submission.content):
            return []
        base = self._brands.web_base(account.name, url)
        return [
            f"List-Unsubscribe: <{base}/u/{self.tokens.token(Wish(account.name, address, message_id))}>\r\n"
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n".encode("ascii")
            for address in submission.recipients
        ]


def is_unwanted(content: bytes) -> bool:
    """Tell whether the sender asked for a message without our list headers (`X-Mailweir-Unsubscribe: no`)."""
    found = _wish_fields.finditer(content, 0, _header_end(content))
    return any(field[1].strip().lower() == b"no" for field in found)


def wish_spans(content: bytes) -> list[tuple[int, int]]:
    """Return where X-Mailweir-Unsubscribe stands, which is between the sender and us."""
    return [field.span() for field in _wish_fields.finditer(content, 0, _header_end(content))]


def _header_end(content: bytes) -> int:
    end = 0 if content.startswith(b"\r\n") else content.find(b"\r\n\r\n")
    return end + 2 if end >= 0 else len(content)
