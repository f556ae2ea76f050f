"""What the model sees of a message beside its words: structure tokens, numbers. Version: model_files.FEATURE_VERSION.

Mail programs, charsets, header orders and sender domains are not among them: they told the training sources apart
(false positives on a source left out rose from 3 to 9 %), nothing else.
"""

import math
import re
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from relay.content.features import host_of, registered_domain
from relay.content.message import Reading
from relay.events import Features

_MAX_LINKS = 40
_LONG_DOMAIN = 22
_CHARACTERS_A_WORD, _DISTINCT = 6.5, 0.6  # of ordinary text
_FREEMAIL_WORDS = (
    "gmail.com googlemail.com yahoo.com hotmail.com outlook.com live.com aol.com icloud.com gmx.de gmx.net "
    "web.de mail.ru yandex.ru proton.me protonmail.com zoho.com qq.com 163.com"
)
_FREEMAIL = frozenset(_FREEMAIL_WORDS.split())
_EXECUTABLE_WORDS = "exe scr com pif bat cmd vbs vbe js jse wsf hta jar msi lnk ps1 iso img cab chm reg dll cpl"
_EXECUTABLE = frozenset(_EXECUTABLE_WORDS.split())
_EXTENSION = re.compile(r"\.([a-z]{2,5})(?:$|[?#])", re.IGNORECASE)
_PATH_WORD = re.compile(r"[a-z]{3,15}")
_NUMBERS = (
    "subject_upper_share",
    "subject_exclamations",
    "upper_share",
    "digit_share",
    "non_ascii_share",
    "exclamations",
    "currency_signs",
    "invisible_characters",
    "mixed_script_words",
    "hidden_html_share",
    "parts",
    "attachments",
    "links",
    "ip_links",
    "shortener_links",
    "mismatched_links",
    "images",
    "forms",
    "reply_to_differs",
    "display_name_address",
)
_HIDDEN = _NUMBERS.index("hidden_html_share")
_ORDINARY = {"upper_share": 0.06, "digit_share": 0.02, "non_ascii_share": 0.0}  # of ordinary text
_SHOUTING, _HIDING = 0.3, 0.2
_LOGARITHMS = ["subject_length", "text_length", "text_words", "html_length", "attachment_bytes"]
HTML_LENGTH = len(_NUMBERS) + _LOGARITHMS.index("html_length")  # its place among the numbers


def structure_of(features: Features, reading: Reading) -> list[str]:
    """Return the structure tokens of the model: signs, the MIME shape, and what links look like."""
    found = {
        "ip-link": features.ip_links > 0,
        "short-link": features.shortener_links > 0,
        "mismatched-link": features.mismatched_links > 0,
        "hidden-text": features.hidden_html_share > _HIDING,
        "broken-words": features.invisible_characters > 3,
        "mixed-scripts": features.mixed_script_words > 0,
        "form": features.forms > 0,
        "inline-image": reading.page.inline_images > 0,
        "no-subject": not reading.subject,
        "no-name": not reading.author.name,
        "image-only": features.text_words < 15 and features.images > 0 and features.links > 0,
        "no-text": features.text_words == 0,
        "executable": bool(_EXECUTABLE & set(features.attachment_types)),
        "html-attachment": bool({"html", "htm", "shtml", "svg"} & set(features.attachment_types)),
        "name-is-address": features.display_name_address,
        "reply-elsewhere": features.reply_to_differs,
        "reply-to-freemail": features.reply_to_differs and reading.reply_to.domain in _FREEMAIL,
        "shouting-subject": features.subject_upper_share > 0.6 and features.subject_length > 12,
        "shouting": features.upper_share > _SHOUTING and features.text_words > 30,
        "exclaiming": features.exclamations > 5,
        "exclaiming-subject": features.subject_exclamations > 0,
        "money": features.currency_signs > 3,
    }
    links = min(features.links, 12).bit_length()
    signs = [name for name, is_so in found.items() if is_so]
    return [*signs, f"shape {_shape(features.mime_shape)}", f"links {links}", *_tokens_of_links(reading)]


def numbers_of(features: Features, distinct_words: int) -> list[float]:
    """Return the model's numbers, always in the same order; large ones as logarithms.

    They follow from what is journaled and the word hashes that are kept, so that labels that come later can teach.
    """
    return [
        *(float(getattr(features, name)) for name in _NUMBERS),
        *(math.log1p(getattr(features, name)) for name in _LOGARITHMS),
        float(len(features.link_domains)),
        math.log1p(distinct_words),
        distinct_words / max(1, features.text_words),
    ]


def lengthened(numbers: NDArray[np.float32], words: int) -> NDArray[np.float32]:
    """Return the numbers of the same message with so many more words: what stuffing it with good ones makes of them."""
    longer, at, added = numbers.copy(), len(_NUMBERS), words * _CHARACTERS_A_WORD
    length = math.expm1(numbers[at + 1])
    longer[at + 1] = math.log1p(length + added)
    longer[at + 2] = math.log1p(math.expm1(numbers[at + 2]) + words)
    for name, ordinary in _ORDINARY.items():  # what stood out is thinned by ordinary text
        place = _NUMBERS.index(name)
        longer[place] = (numbers[place] * length + ordinary * added) / max(1.0, length + added)
    hidden, place = float(numbers[_HIDDEN]), _HIDDEN
    characters = hidden * length / max(1e-3, 1 - hidden)
    longer[place] = characters / max(1.0, characters + length + added)
    distinct = math.expm1(numbers[-2]) + words * _DISTINCT
    longer[-2], longer[-1] = math.log1p(distinct), distinct / max(1.0, math.expm1(longer[at + 2]))
    return longer


def vanishing(numbers: NDArray[np.float32]) -> list[str]:
    """Return the signs that a message of ordinary length with these numbers cannot show."""
    upper, hidden = numbers[_NUMBERS.index("upper_share")], numbers[_HIDDEN]
    return [
        "no-text",
        "image-only",
        *(["shouting"] if upper <= _SHOUTING else []),
        *(["hidden-text"] if hidden <= _HIDING else []),
    ]


def _tokens_of_links(reading: Reading) -> set[str]:
    """Hosts, paths and shapes of links: without them recall on late mail was .951 instead of .962 at 0.5 %."""
    own, domains = registered_domain(reading.author.domain), set()
    tokens = set()
    for link in reading.links[:_MAX_LINKS]:
        host = host_of(link.url)
        if not host:
            tokens.add(f"scheme {link.url[:7].lower()}")
            continue
        domain = registered_domain(host)
        domains.add(domain)
        tokens |= _tokens_of_host(host)
        tokens |= _tokens_of_path(link.url)
        if own and domain == own:
            tokens.add("own domain")
    tokens.add(f"domains {min(len(domains), 8)}")
    return tokens


@lru_cache(maxsize=20_000)
def _tokens_of_host(host: str) -> frozenset[str]:
    domain = registered_domain(host)
    tokens = [f"domain {domain}", f"top {domain.rpartition('.')[2]}"]
    tokens += [f"label {label}" for label in host[: -len(domain)].strip(".").split(".")[:3]]
    signs = {
        "digit in domain": any(map(str.isdigit, domain)),
        "hyphens": domain.count("-") > 1,
        "punycode": "xn--" in host,
        "long domain": len(domain) > _LONG_DOMAIN,
    }
    return frozenset([*tokens, *(sign for sign, is_so in signs.items() if is_so)])


def _tokens_of_path(url: str) -> set[str]:
    authority, _, path = url.partition("://")[2].partition("/")
    extension = _EXTENSION.search(path[:300]) if "." in path else None
    tokens = {f"path {word}" for word in _PATH_WORD.findall(path[:200].lower())[:12]}
    tokens.add(f"file {extension[1].lower() if extension else ''}")
    tokens.add(f"depth {min(path.count('/'), 5)}")
    tokens.add(f"length {len(url).bit_length()}")
    if "@" in authority:
        tokens.add("user in host")
    if ":" in authority:
        tokens.add("port")
    return tokens


@lru_cache(maxsize=5_000)
def _shape(shape: str) -> str:
    """The MIME shape with all pictures alike, and each run of parts of one kind as one."""
    shape = re.sub(r"\b(?:gif|jpe?g|pjpeg|png|bmp)\b", "image", shape)
    return re.sub(r"\b(\w+)(?:,\1\b)+", r"\1", shape)[:60]
