"""What is measured on one message: events.Features, every field a column of the warehouse."""

import hashlib
import re
from functools import lru_cache

from publicsuffixlist import PublicSuffixList

from relay.content.html import Link
from relay.content.message import Reading
from relay.events import Features

_MAX_DOMAINS = 20
_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOWER = b"abcdefghijklmnopqrstuvwxyz"
_DIGITS = b"0123456789"
_HOST = re.compile(
    r"(?:[a-z][a-z0-9+.-]{1,9}:)?[/\\]{2}([^/\\?#]{1,300})|([^/\\?#:@\s]{1,255}\.[^/\\?#:@\s]{2,63})", re.IGNORECASE
)
_NUMBER_HOST = re.compile(r"\[[0-9a-f:.]+\]|(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+)){0,3}", re.IGNORECASE)
_SHOWN_DOMAIN = re.compile(r"(?:https?://)?((?:[\w-]{1,63}\.){1,6}[a-z]{2,24})(?:[/:?#]\S*)?", re.IGNORECASE)
_SHORTENERS_WORDS = (
    "bit.ly tinyurl.com t.co goo.gl is.gd ow.ly buff.ly rebrand.ly cutt.ly rb.gy t.ly tiny.cc shorturl.at s.id "
    "v.gd lnkd.in bl.ink short.io qrco.de surl.li urlz.fr tr.ee clck.ru u.to"
)
_SHORTENERS = frozenset(_SHORTENERS_WORDS.split())
_suffixes = PublicSuffixList()


def measure(reading: Reading, words: list[str], mail_from: str) -> Features:
    """Fill the features; `words` are those of the text shown."""
    head, shown = reading.head, reading.visible or reading.plain
    names = {name for name, _ in head.fields}
    counted = shown.encode("utf-8", "replace")
    upper, lower, digits = _count(counted, _UPPER), _count(counted, _LOWER), _count(counted, _DIGITS)
    non_ascii = 0 if len(counted) == len(shown) else sum(map((127).__lt__, map(ord, shown)))
    length, letters = len(shown), max(1, upper + lower + non_ascii)
    subject, letters_of_subject = reading.subject, max(1, sum(map(str.isalpha, reading.subject)))
    hosts = [host_of(link.url) for link in reading.links]
    domains = list(dict.fromkeys(filter(None, map(registered_domain, hosts))))
    author, envelope = registered_domain(reading.author.domain), registered_domain(mail_from.rpartition("@")[2])
    reply_to = registered_domain(reading.reply_to.domain)
    return Features(
        subject_length=len(subject),
        subject_upper_share=round(sum(map(str.isupper, subject)) / letters_of_subject, 3),
        subject_exclamations=subject.count("!"),
        text_length=length,
        text_words=len(words),
        html_length=reading.html_length,
        upper_share=round(upper / letters, 3),
        digit_share=round(digits / max(1, length), 3),
        non_ascii_share=round(non_ascii / max(1, length), 3),
        exclamations=shown.count("!"),
        currency_signs=sum(map(shown.count, "$€£¥₿")),
        invisible_characters=reading.invisible_characters,
        mixed_script_words=reading.mixed_script_words,
        hidden_html_share=_hidden_share(reading),
        parts=reading.parts,
        attachments=len(reading.attachments),
        attachment_bytes=sum(attachment.size_bytes for attachment in reading.attachments),
        attachment_types=sorted({_kind(item.name, item.content_type) for item in reading.attachments})[:_MAX_DOMAINS],
        mime_shape=reading.shape,
        links=len(reading.links),
        link_domains=domains[:_MAX_DOMAINS],
        ip_links=sum(map(_is_number_host, hosts)),
        shortener_links=sum(registered_domain(host) in _SHORTENERS for host in hosts),
        mismatched_links=sum(shown_elsewhere(link) != "" for link in reading.page.links),
        images=reading.page.images,
        forms=reading.page.forms,
        received_headers=sum(name == b"received" for name, _ in head.fields),
        headers=len(head.fields),
        from_domain=reading.author.domain[:255],
        from_aligned=not (author and envelope) or author == envelope,
        reply_to_differs=bool(reply_to and author and reply_to != author),
        display_name_address=_names_another(reading),
        has_message_id=b"message-id" in names,
        has_date=b"date" in names,
        mailer=_mailer(reading),
        body_digest=hashlib.blake2b(" ".join(words).encode("utf-8", "replace"), digest_size=16).hexdigest()
        if words
        else "",
    )


@lru_cache(maxsize=1_000)  # asked several times for each link
def host_of(url: str) -> str:
    """Return the host a URL goes to, in lower case; "" where there is none (mailto:, relative, nonsense)."""
    match = _HOST.match(url.strip())
    if not match:
        return ""
    host = (match[1] or match[2]).rpartition("@")[2].lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].strip(".")


@lru_cache(maxsize=20_000)
def registered_domain(host: str) -> str:
    """Return the domain that somebody registered: example.co.uk for a.b.example.co.uk; the host itself for numbers."""
    if not host or _NUMBER_HOST.fullmatch(host):
        return host
    try:
        return _suffixes.privatesuffix(host[:255]) or host
    except (ValueError, UnicodeError):
        return host


def shown_elsewhere(link: Link) -> str:
    """Return the domain a link's text names when the link goes to another one, else ""."""
    match = _SHOWN_DOMAIN.fullmatch(link.text.strip()) if "." in link.text else None
    if not match:
        return ""
    shown, target = _known_domain(match[1].lower()), host_of(link.url)
    return shown if shown and target and registered_domain(target) != shown else ""


@lru_cache(maxsize=5_000)
def _known_domain(host: str) -> str:
    """The registered domain, only under a suffix that exists: "invoice.pdf" is no domain."""
    try:
        return _suffixes.privatesuffix(host, accept_unknown=False) or ""
    except (ValueError, UnicodeError):
        return ""


def _count(data: bytes, wanted: bytes) -> int:
    return len(data) - len(data.translate(None, wanted))


def _is_number_host(host: str) -> bool:
    return bool(host) and _NUMBER_HOST.fullmatch(host) is not None


def _hidden_share(reading: Reading) -> float:
    hidden = reading.page.hidden_characters
    return round(hidden / (hidden + max(1, len(reading.visible))), 3) if hidden else 0.0


def _kind(name: str, content_type: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return extension.lower()[:10] if dot and stem else content_type.rpartition("/")[2][:40]


def _names_another(reading: Reading) -> bool:
    match = re.search(r"[\w.+-]{1,64}@([\w-]{1,63}\.[\w.-]{2,190})", reading.author.name[:300])
    return (
        bool(match) and registered_domain(match[1].lower()) != registered_domain(reading.author.domain)
        if match
        else False
    )


def _mailer(reading: Reading) -> str:
    value = reading.head.first(b"x-mailer") or reading.head.first(b"user-agent") or b""
    return value[:80].decode("utf-8", "replace").strip()
