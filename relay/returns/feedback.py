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

from relay.content.head import split_head
from relay.content.text import decode_header
from relay.delivery.headers import cfbl_lines, feedback_line
from relay.envelope import Submission
from relay.front.identity_plan import FORWARDED
from relay.resellers.brand import Brands
from relay.settings import Settings
from relay.tree import SenderId

TOKEN_CHARACTERS = 700  # account 64, address 320, message id 40 bytes and the tag, in base64

_VERSION = b"\x01"
_NEXT_WAY = ",\r\n "  # each on a line of its own: with the longest token a line has 998 bytes (RFC 5322 2.1.1)
_CONTEXT = [b"mailweir unsubscribe", _VERSION]
_SUBJECT_BYTES = 4_000
_mailed_token = re.compile(r"unsubscribe:([A-Za-z0-9_-]{40,700})").search  # TOKEN_CHARACTERS
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

    def offered(self, submission: Submission, sender: SenderId, ref: str) -> list[bytes]:
        """Return the lines for a message that has none of their names; `ref`: its X-Mailweir-Ref.

        Of a bounce, and of mail that is only passed on, nobody here is the author who could be complained of.
        """
        headers, account = self._settings.headers, submission.account
        found: list[bytes] = []
        if headers.feedback_id:
            found.append(feedback_line(self._secret, account.reseller, account.name, sender.key, headers.feedback_id))
        if headers.cfbl_address and submission.mail_from and sender.kind != FORWARDED:
            found.append(cfbl_lines(headers.cfbl_address, ref))
        return found

    def own(self, submission: Submission, sender: SenderId, message_id: str) -> list[bytes]:
        """Return the list headers of each recipient; [] where the message gets none.

        Neither bounces nor mail that is only passed on are the account's to offer.
        """
        account, url = submission.account, self._settings.web.public_url
        mail_to = self._settings.headers.unsubscribe_address
        if not (account.list_unsubscribe and (url or mail_to) and submission.mail_from) or sender.kind == FORWARDED:
            return []
        if is_unwanted(submission.content):
            return []
        base = self._brands.web_base(account.name, url) if url else ""
        wishes = (Wish(account.name, address, message_id) for address in submission.recipients)
        return [_list_lines(base, mail_to, self.tokens.token(wish)) for wish in wishes]


def mailed_token(content: bytes) -> str:
    """Return the token in the subject of a mail that a mailto: of ours made, "" where there is none."""
    subject = decode_header((split_head(content).first(b"subject") or b"")[:_SUBJECT_BYTES])
    found = _mailed_token("".join(subject.split()))  # who folds a line that has no space makes some
    return found[1] if found else ""


def _list_lines(base: str, mail_to: str, token: str) -> bytes:
    """The fields of one recipient. The link is first, as it works at once (RFC 2369: in the order of preference)."""
    ways = [f"<{base}/u/{token}>"] if base else []
    ways += [f"<mailto:{mail_to}?subject=unsubscribe:{token}>"] if mail_to else []
    one_click = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" if base else ""
    return f"List-Unsubscribe: {_NEXT_WAY.join(ways)}\r\n{one_click}".encode("ascii")


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
