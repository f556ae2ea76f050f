"""What the certain rules look for in one message. Each sign says what it saw, in words for a customer, or "".

Pure, bounded, and cheap: searches for fixed strings, expressions only behind them. Signs of several messages together
("same-text") are counted in main; here they say that the message can be counted.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from relay.content.brands import Brands
from relay.content.features import host_of, registered_domain, shown_elsewhere
from relay.content.message import Reading
from relay.content.rule_book import Rule
from relay.content.window import Content
from relay.events import Features

_SEARCHED_BYTES = 300_000  # a test virus or a form stands at the front of its part
_TEXT = 3_000  # characters in which phrases are looked for: lures are short, and 8,000 cost 0.09 ms
_PROBE_WORDS = 60  # credential tests are bare; a hoster's welcome mail explains more
# In pieces, so that no virus scanner takes this file for one
_EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_EICAR_BASE64 = b"WDVPIVAlQEFQWzRcUFpYNTQo" + b"UF4pN0NDKTd9JEVJQ0FS"
_DOUBLE = re.compile(
    r"\.(?:pdf|docx?|xlsx?|pptx?|rtf|txt|csv|jpe?g|png|gif|zip|mp[34]|html?)[\s._-]{0,40}\.([a-z0-9]{2,4})\s*$", re.I
)
_SMTP_HOST = re.compile(
    r"\b(?:smtp|mail)[\w-]*(?:\.[\w-]{1,63}){2,}|\b[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}[|:;,](?:25|465|587|2525)\b"
)
_SMTP_PORT = re.compile(r"(?:port\W{0,3}|[|:;,]\s?)(?:25|465|587|2525)\b")
_LOGIN = re.compile(
    r"(?:user(?:name)?|login|benutzer|utilisateur|usuario)\s?[:=|]|[|:;,][^\s|:;,@]{1,64}@[^\s|:;,]{3,120}"
)
_PASSWORD = re.compile(
    r"(?:pass(?:word|wort)?|pwd|mot de passe|contrase\w+)\s?[:=|]\s?\S|@[^\s|:;,]{3,120}[|:;,]\S{4,}"
)
_PASSWORD_FIELD = re.compile(rb"<input[^>]{0,300}type\s{0,5}=(?:3D)?[\"']?password", re.I)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One message as the signs see it. `text` is lower case, subject first."""

    reading: Reading
    features: Features
    content: Content
    brands: Brands
    text: str = field(init=False)

    def __post_init__(self) -> None:
        text = f"{self.reading.subject}\n{self.reading.text[:_TEXT]}".lower()
        object.__setattr__(self, "text", text)


Sign = Callable[[Sighting, Rule], str]


def _eicar(seen: Sighting, rule: Rule) -> str:
    for wanted in (_EICAR, _EICAR_BASE64):
        at = seen.content.find(wanted, 0, min(len(seen.content), _SEARCHED_BYTES))
        if at >= 2 and seen.content[at - 2 : at] == b"\r\n":  # the file begins so; mail about it quotes it in a line
            return "contains the EICAR test virus"
    return ""


def _file_type(seen: Sighting, rule: Rule) -> str:
    for name in _file_names(seen.reading):
        if name.rpartition(".")[2].lower().strip() in rule.extensions and "." in name:
            return f"attachment {name[-80:]} is a program or can start one"
    return ""


def _double_extension(seen: Sighting, rule: Rule) -> str:
    for name in _file_names(seen.reading):
        match = _DOUBLE.search(name[-80:])
        if match and match[1].lower() in rule.extensions:
            return f"attachment {name[-80:]} hides its true type behind another one"
    return ""


def _credentials(seen: Sighting, rule: Rule) -> str:
    text = seen.text
    if seen.features.text_words > _PROBE_WORDS or not any(word in text for word in rule.words):
        return ""
    found = {
        "host": _SMTP_HOST.search(text),
        "port": _SMTP_PORT.search(text),
        "user": _LOGIN.search(text),
        "password": _PASSWORD.search(text),
    }
    parts = [name for name, match in found.items() if match]
    is_probe = len(parts) >= 3 or ("password" in parts and "host" in parts)
    return f"carries access data of a mail server ({', '.join(parts)}) and little else" if is_probe else ""


def _phrase(seen: Sighting, rule: Rule) -> str:
    for word in rule.words:
        if word in seen.text:
            return f"says “{word}”"
    return ""


def _link_elsewhere(seen: Sighting, rule: Rule) -> str:
    """Newsletters count clicks through another domain: only a feature. A bare number counts nobody's clicks."""
    for link in seen.reading.page.links if seen.features.mismatched_links else ():
        if shown := shown_elsewhere(link):
            return f"link text says {shown}, goes to {host_of(link.url)[:80]}"
    return ""


def _link_to_number(seen: Sighting, rule: Rule) -> str:
    if not (seen.features.ip_links and seen.features.mismatched_links):
        return ""
    for link in seen.reading.page.links:
        host = host_of(link.url)
        if (shown := shown_elsewhere(link)) and host and registered_domain(host) == host and host[-1:] in "0123456789]":
            return f"link text says {shown}, goes to {host[:80]}"
    return ""


def _brand_link(seen: Sighting, rule: Rule) -> str:
    for link in seen.reading.page.links if seen.features.mismatched_links else ():
        shown, host = shown_elsewhere(link), host_of(link.url)
        brand = seen.brands.of_domain(shown) if shown else None
        # a shop that sends through a service: its own name and the service's both count as its
        if brand and not brand.owns(host) and not _is_authors(seen, host):
            return f"link text says {shown}, goes to {host[:80]}"
    return ""


def _brand_sender(seen: Sighting, rule: Rule) -> str:
    author = seen.reading.author
    brand = seen.brands.named(author.name, rule.words) if author.name else None
    if brand is None or not author.domain or brand.owns(author.domain):
        return ""
    return f"the sender calls itself “{author.name[:60]}” and writes from {author.domain[:80]}"


def _brand_host(seen: Sighting, rule: Rule) -> str:
    for host in _hosts(seen):
        if (brand := seen.brands.in_host(host, rule.words)) and not _is_authors(seen, host):
            return f"{host[:80]} carries the name {brand.name} and is not one of its domains"
    return ""


def _look_alike(seen: Sighting, rule: Rule) -> str:
    for host in _hosts(seen):
        if like := seen.brands.resembling(registered_domain(host)):
            return f"{host[:80]} looks like {like} and is another domain"
    return ""


def _data_link(seen: Sighting, rule: Rule) -> str:
    for link in seen.reading.page.links:
        # javascript: stands in newsletters of the 2000s, and no mail program runs it
        if link.url[:11].lower().startswith(("data:text/h", "data:applic")):
            return "a link opens a page that is hidden inside the mail itself"
    return ""


def _form(seen: Sighting, rule: Rule) -> str:
    return "asks for input in a form inside the mail" if seen.features.forms else ""


def _password_form(seen: Sighting, rule: Rule) -> str:
    if not seen.features.forms:
        return ""
    found = _PASSWORD_FIELD.search(seen.content[:_SEARCHED_BYTES])
    return "asks for a password in a form inside the mail" if found else ""


def _shortener(seen: Sighting, rule: Rule) -> str:
    return "links through a URL shortener, which hides the target" if seen.features.shortener_links else ""


def _same_text(seen: Sighting, rule: Rule) -> str:
    return "the same text" if seen.features.text_words >= rule.least_words else ""


SIGNS: dict[str, Sign] = {
    "eicar": _eicar,
    "file-type": _file_type,
    "double-extension": _double_extension,
    "credentials": _credentials,
    "phrase": _phrase,
    "link-elsewhere": _link_elsewhere,
    "link-to-number": _link_to_number,
    "brand-link": _brand_link,
    "brand-sender": _brand_sender,
    "brand-host": _brand_host,
    "look-alike": _look_alike,
    "data-link": _data_link,
    "form": _form,
    "password-form": _password_form,
    "shortener": _shortener,
    "same-text": _same_text,
}


def _file_names(reading: Reading) -> Iterator[str]:
    """Of attachments, and of what is in archives among them."""
    for attachment in reading.attachments:
        if attachment.name:
            yield attachment.name
        yield from attachment.members


def _hosts(seen: Sighting) -> Iterator[str]:
    """The author's and those linked to, each registered domain once."""
    domain = seen.reading.author.domain
    if domain:
        yield domain
    known = {domain}
    for link in seen.reading.links:
        host = host_of(link.url)
        if host and host not in known and len(known) < 40:
            known.add(host)
            yield host


def _is_authors(seen: Sighting, host: str) -> bool:
    return registered_domain(host) == registered_domain(seen.reading.author.domain)
