"""Text as bytes say it, and as a reader sees it: decoding, invisible characters, look-alike letters. Never raises."""

import binascii
import codecs
import re
import unicodedata
from functools import lru_cache

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e007f]+"
)
# Joiners are spelling in Arabic, Persian and Indic scripts, variation selectors belong to emoji: only those between
# Latin letters count as an attempt to break up a word.
_BREAKING = re.compile("(?<=[A-Za-z])[\u00ad\u200b-\u200f\u2060-\u2064\ufeff](?=[A-Za-z])")
_LOOKALIKES = str.maketrans(
    "аеорсхіуѕјһԁԛԝґгкмтвнАЕОРСХІУЅЈКМТВНҮЗ"  # Cyrillic
    "αοινυκρτχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",  # Greek
    "aeopcxiysjhdqwrrkmtbhAEOPCXIYSJKMTBHY3aoivukptxABEZHIKMNOPTYX",
)
_FOREIGN = re.compile(r"[\u0370-\u03ff\u0400-\u052f]")
_FOREIGN_WORD = re.compile(r"\b\w*[\u0370-\u03ff\u0400-\u052f]\w*")
_LATIN = re.compile(r"[A-Za-z]")
# Only charsets that are used in mail: Python's idna and punycode codecs are quadratic, unicode_escape warns.
_CHARSET = re.compile(
    r"(?:us-)?ascii|utf-?(?:7|8|16|32)(?:-?[lb]e)?|(?:iso-?)?8859-?\d+[\w-]*|iso-(?:8859|2022)-[\w-]*|latin-?\d+|(?:windows|cp|ibm)-?\d+"
    r"|koi8-[rutk]|gb2312|gbk|gb18030|big5(?:-?hkscs)?|euc-?(?:jp|kr|cn)|ks_c_5601[\w-]*|shift[_-]?jis|sjis|hz(?:-gb-2312)?|tis-620|mac-?\w+"
)
_ENCODED_WORD = re.compile(r"=\?([\w.:-]{1,40})(?:\*[\w-]*)?\?([bBqQ])\?([^?\s]*)\?=(?:\s+(?==\?))?")
# With what steers terminals (encoded words may say anything): subjects are shown in reports, notices and tables
_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


def decode_bytes(data: bytes, charset: str) -> str:
    """Decode by the declared charset when it is one and fits, else as UTF-8, else as Windows-1252."""
    for name in (_codec(charset), "utf-8"):
        if name:
            try:
                return data.decode(name)
            except (UnicodeDecodeError, ValueError):
                continue
    return data.decode("cp1252", "replace")


def decode_header(value: bytes) -> str:
    """Unfold and decode one header value, encoded words included."""
    text = decode_bytes(value, "utf-8")
    if "=?" in text:
        text = _ENCODED_WORD.sub(_decode_word, text)
    return _SPACES.sub(" ", text).strip()


def fold(text: str) -> tuple[str, int, int]:
    """Return `text` as a reader sees it; how many invisible characters broke words up; how many words mix scripts."""
    if text.isascii():
        return text, 0, 0
    invisible = len(_BREAKING.findall(text))
    text = _INVISIBLE.sub("", text)
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)
    if not _FOREIGN.search(text) or not _LATIN.search(text):
        return text, invisible, 0
    mixed = 0

    def latin(match: re.Match[str]) -> str:
        nonlocal mixed
        word = match[0]
        folded = word.translate(_LOOKALIKES)
        if _FOREIGN.search(folded) and not _LATIN.search(word):
            return word
        if _LATIN.search(word):
            mixed += 1
            return folded
        return folded if mixed else word  # wholly of look-alikes: only where others of its text are mixed

    return _FOREIGN_WORD.sub(latin, text), invisible, mixed


def latin_alike(text: str) -> str:
    """Return a name with all look-alikes in Latin, also where the whole of it is of them."""
    return unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).translate(_LOOKALIKES).replace("\u04cf", "l")


def decode_base64(data: bytes) -> bytes:
    """Decode base64 that may be cut or damaged; what cannot be read is left out."""
    packed = data.translate(None, b" \t\r\n")
    for candidate in (packed, packed[: len(packed) - len(packed) % 4], packed.rstrip(b"=") + b"=="):
        try:
            return binascii.a2b_base64(candidate)
        except binascii.Error:
            continue
    return b""


@lru_cache(maxsize=256)
def _codec(charset: str) -> str:
    name = charset.strip().strip("\"'").lower()[:40]
    if not _CHARSET.fullmatch(name):
        return ""
    if name in ("us-ascii", "ascii", "iso-8859-1", "latin1", "latin-1"):
        # as all mail programs read it: bytes 0x80-0x9f are Windows' quotes; "ascii" with more is UTF-8 mostly
        return "ascii" if "ascii" in name else "cp1252"
    try:
        return codecs.lookup(name).name
    except LookupError:
        return ""


def _decode_word(match: re.Match[str]) -> str:
    charset, kind, payload = match[1], match[2], match[3].encode("ascii", "ignore")
    data = decode_base64(payload) if kind in "bB" else binascii.a2b_qp(payload, header=True)
    return decode_bytes(data, charset)
