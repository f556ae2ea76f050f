"""Header lines the relay writes: its Received line, and the reference by which a complaint finds the sender again."""

import base64
import hashlib
import hmac
import re
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from relay.envelope import Submission

_VERSION = b"\x01"
_MAC_BYTES = 10  # 80 bits: guessed at a billion tries a second in 19 million years
_UNFIT = re.compile(r"[^A-Za-z0-9.:_\[\]-]")


def received_line(submission: Submission, hostname: str, message_id: str) -> bytes:
    """Return our Received field (RFC 5321 section 4.4), folded, CRLF at its end. Names no login."""
    helo = _UNFIT.sub("?", submission.helo)[:255] or "unknown"
    address = submission.client_ip
    literal = f"IPv6:{address}" if ":" in address else address
    date = _date(submission.received_at.replace(microsecond=0))
    return (
        f"Received: from {helo} ([{literal}])\r\n"
        f"\tby {hostname} (Mailweir) with {_protocol(submission)} id {message_id};\r\n"
        f"\t{date}\r\n"
    ).encode("ascii", "replace")


@lru_cache(maxsize=8)
def _date(instant: datetime) -> str:
    return format_datetime(instant)  # 8 us, and all mail of a second has the same


def _protocol(submission: Submission) -> str:
    """The transmission type of RFC 3848 and RFC 6531; another door is named as it is."""
    if submission.door != "smtp":
        return _UNFIT.sub("?", submission.door).upper()
    name = "UTF8SMTP" if submission.is_smtputf8 else "ESMTP"
    return name + ("S" if submission.tls else "") + ("A" if submission.credential else "")


def reference(key: bytes, message_id: str, account: str, sender: str) -> str:
    """Return the value of X-Mailweir-Ref: the message id, signed for this account and sender, naming neither."""
    payload = _VERSION + message_id.encode()
    return base64.urlsafe_b64encode(payload + _mac(key, payload, account, sender)).rstrip(b"=").decode()


def referenced_message(token: str) -> str | None:
    """Return the message id a token names, None when it is none of ours. Believe it only after `is_genuine`."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        return raw[1:-_MAC_BYTES].decode("ascii") if raw[:1] == _VERSION and len(raw) > 1 + _MAC_BYTES else None
    except ValueError:
        return None


def is_genuine(key: bytes, token: str, account: str, sender: str) -> bool:
    """Tell whether we made this token for this account and sender."""
    message_id = referenced_message(token)
    return message_id is not None and hmac.compare_digest(token, reference(key, message_id, account, sender))


def feedback_line(key: bytes, reseller: str, account: str, sender: str, sender_id: str) -> bytes:
    """Return a Feedback-ID field: sender, account and reseller as keyed hashes, then whose relay this is.

    Gmail counts complaints by each of the four on its own (https://support.google.com/mail/answer/6254652: at most
    four fields, the last of 5-15 characters and the same in all mail), provided that DKIM covers it.
    """
    parts = (_pseudonym(key, "sender", sender), _pseudonym(key, "account", account))
    above = _pseudonym(key, "reseller", reseller) if reseller else "0"
    return f"Feedback-ID: {':'.join((*parts, above, sender_id))}\r\n".encode("ascii")


def cfbl_lines(address: str, ref: str) -> bytes:
    """Return the two fields of RFC 9477: where complaints go, and `ref`, by which this message is known again."""
    return f"CFBL-Address: {address}; report=arf\r\nCFBL-Feedback-ID: {ref}\r\n".encode("ascii")


def is_feedback_of(key: bytes, value: str, account: str, sender: str) -> bool:
    """Tell whether we wrote this Feedback-ID for mail of this account and sender."""
    named = ":".join(value.strip().split(":")[:2])
    wanted = f"{_pseudonym(key, 'sender', sender)}:{_pseudonym(key, 'account', account)}"
    return hmac.compare_digest(named.encode("utf-8", "surrogateescape"), wanted.encode())


@lru_cache(maxsize=4096)
def _pseudonym(key: bytes, kind: str, name: str) -> str:
    """Ten letters that stand for a name: 50 bits, the same always, meaningless without the key."""
    digest = hashlib.blake2b(f"{kind}\0{name}".encode(), key=key, digest_size=10, person=b"feedback-id").digest()
    return base64.b32encode(digest)[:10].decode().lower()


def _mac(key: bytes, payload: bytes, account: str, sender: str) -> bytes:
    # keyed BLAKE2 is a MAC by itself and takes 1 us; OpenSSL 3 looks its SHA-256 up anew for each HMAC, 20 us
    text = b"\0".join((payload, account.encode(), sender.encode()))
    return hashlib.blake2b(text, key=key, digest_size=_MAC_BYTES).digest()
