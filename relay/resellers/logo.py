"""What a logo may be: a small PNG, or an SVG that draws and does nothing else. Pure; raises Invalid, saying why.

Logos are shown as <img> of a data: URI, where no browser runs a script; these checks are the second wall.
"""

import re
import struct
import zlib
from typing import TYPE_CHECKING

from relay.control.errors import Invalid
from relay.resellers.brand import PNG, SVG

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LOGO_BYTES = 32_768  # it stands in each page; a logo that needs more is a photograph
_WIDTH_MAX, _HEIGHT_MAX = 1200, 600

_PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
# Nothing that carries text or a profile: both have been ways in (PNG specification, section 11)
_CHUNKS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"pHYs", b"IDAT", b"IEND"))
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type, ibid. 11.2.2

_DECLARATION = re.compile(r"\A<\?xml\s[^<>?]*\?>")
_NAMESPACE = "{http://www.w3.org/2000/svg}"
_ELEMENTS_MAX = 2_000
_ELEMENTS = frozenset(
    (
        *("svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan", "title"),
        *("desc", "defs", "linearGradient", "radialGradient", "stop", "clipPath"),
    )
)
_ATTRIBUTES = frozenset(
    (
        *("id", "version", "viewBox", "width", "height", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry"),
        *("d", "points", "transform", "fill", "fill-opacity", "fill-rule", "stroke", "stroke-width", "stroke-opacity"),
        *("stroke-linecap", "stroke-linejoin", "stroke-dasharray", "stroke-miterlimit", "opacity", "offset"),
        *("stop-color", "stop-opacity", "gradientUnits", "gradientTransform", "spreadMethod", "fx", "fy", "dx", "dy"),
        *("clip-path", "clip-rule", "clipPathUnits", "preserveAspectRatio", "font-family", "font-size", "font-weight"),
        *("font-style", "text-anchor", "letter-spacing", "dominant-baseline", "role", "aria-label"),
    )
)


def checked_logo(content: bytes) -> str:
    """Return the media type of a logo that may be shown. Raises Invalid."""
    if not content or len(content) > LOGO_BYTES:
        raise Invalid(f"logo: {len(content)} bytes; at most {LOGO_BYTES} and not empty")
    if content.startswith(_PNG_BEGIN):
        _check_png(content)
        return PNG
    _check_svg(content)
    return SVG


def _check_png(content: bytes) -> None:
    chunks = _chunks(content)
    kinds = [kind for kind, _ in chunks]
    if (
        not chunks
        or kinds[0] != b"IHDR"
        or kinds[-1] != b"IEND"
        or kinds.count(b"IHDR") != 1
        or len(chunks[0][1]) != 13
    ):
        raise Invalid("logo: this PNG is not complete")
    if strange := [kind for kind in kinds if kind not in _CHUNKS]:
        raise Invalid(f"logo: the PNG has a chunk {strange[0].decode('latin-1')!r}; save it without text and profiles")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", chunks[0][1])
    if not (1 <= width <= _WIDTH_MAX and 1 <= height <= _HEIGHT_MAX):
        raise Invalid(f"logo: {width} x {height}; at most {_WIDTH_MAX} x {_HEIGHT_MAX} pixels")
    if colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16) or interlace:
        raise Invalid("logo: save the PNG plainly, without interlacing")
    wanted = height * (1 + (width * _CHANNELS[colour] * depth + 7) // 8)
    if _unpacked(b"".join(data for kind, data in chunks if kind == b"IDAT"), wanted) != wanted:
        raise Invalid("logo: the PNG's pixels are not as many as it says")


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """All chunks, each with the right checksum, and nothing behind the last."""
    found, at = [], len(_PNG_BEGIN)
    while at < len(content):
        if at + 12 > len(content):
            raise Invalid("logo: this PNG is not complete")
        (length,) = struct.unpack_from(">I", content, at)
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        check = content[at + 8 + length : at + 12 + length]
        if len(check) != 4 or struct.unpack(">I", check)[0] != zlib.crc32(kind + data):
            raise Invalid("logo: this PNG is damaged")
        found.append((kind, data))
        at += 12 + length
        if kind == b"IEND" and at != len(content):
            raise Invalid("logo: something stands behind the PNG's end")
    return found


def _unpacked(data: bytes, most: int) -> int:
    """How many bytes it inflates to, one more than `most` at the most; -1: it does not."""
    inflate = zlib.decompressobj()
    try:
        found = len(inflate.decompress(data, most + 1))
    except zlib.error:
        return -1
    return found if inflate.eof or found > most else -1


def _check_svg(content: bytes) -> None:
    from xml.etree import ElementTree  # a relay that starts needs no parser of XML

    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("logo: neither a PNG nor an SVG in UTF-8") from None
    # before any parser: entities and style sheets hang on these, and a bomb of entities would go off in it
    body = _DECLARATION.sub("", text.lstrip("\ufeff").strip(), count=1)
    if "<?" in body or "<!" in body.replace("<!--", ""):
        raise Invalid("logo: an SVG without DOCTYPE, entities, CDATA and processing instructions, please")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - no entities are left in it
    except (ElementTree.ParseError, ValueError):
        raise Invalid("logo: neither a PNG nor an SVG that can be read") from None
    elements = list(root.iter())
    if root.tag != f"{_NAMESPACE}svg" or len(elements) > _ELEMENTS_MAX:
        raise Invalid(f"logo: an SVG of at most {_ELEMENTS_MAX} elements, please")
    for element in elements:
        _check_element(element)


def _check_element(element: "Element[str]") -> None:
    name = str(element.tag).removeprefix(_NAMESPACE)
    if name not in _ELEMENTS:
        raise Invalid(f"logo: the SVG has an element {name[:40]!r}; only shapes, text and gradients may be in it")
    for attribute, value in element.attrib.items():
        if attribute not in _ATTRIBUTES:
            raise Invalid(f"logo: {name} has {attribute[:40]!r}; only what draws may be in it, no links, no events")
        plain = "".join(value.split()).lower()
        if "javascript:" in plain or "\\" in plain or plain.count("url(") != plain.count("url(#"):
            raise Invalid(f"logo: {attribute} of {name} refers to something outside the SVG")
