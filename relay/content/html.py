"""HTML of a mail to what its reader sees: visible text, links, and what is hidden. Linear in a bounded input."""

import re
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

_PARSED_CHARACTERS = 32_000
# For each of these that opens the parser looks through all elements that are open: 6,400 nested took it 110 ms. Where
# more are open than browsers nest, they become spans. Only looked for where there are more tags than newsletters have.
_MANY_TAGS, _MAX_DEPTH = 1_500, 500
_LOOKS_BACK = re.compile(
    "address|article|aside|blockquote|center|d[dlt]|details|dialog|dir|div|fieldset|figcaption|figure|footer|form|h[1-6]"
    "|header|hgroup|hr|li|listing|main|menu|nav|ol|p|plaintext|pre|r[bpt]|rtc|search|section|summary|ul"
)
_NEVER_OPEN = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_TAG = re.compile(r"<(/?)([a-z][^\s/>]{0,20})", re.IGNORECASE)
_MAX_LINKS = 200
_MAX_STYLED = 2_000
_SHEET_CHARACTERS = 100_000  # where a style sheet is looked for
_MAX_STYLE = 500  # characters of one style looked at: the expression is quadratic in a run of spaces
_HIDING = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0(?:\.0*)?\s*(?:;|!|$)"
    r"|max-height\s*:\s*0(?:px)?\s*(?:;|!|$)|text-indent\s*:\s*-\d{3,}",
    re.IGNORECASE,
)
_NO_SIZE = re.compile(r"font-size\s*:\s*0*(?:\.0*)?(?:px|pt|r?em|%)?\s*(?:;|!|$)", re.IGNORECASE)
# Looked for one by one: as a regular expression it took 0.4 ms of 1.
_MAY_HIDE = ("none", "hidden", "font-size:0", "font-size: 0", "opacity", "max-height", "text-indent")
_PREHEADER_CHARACTERS = 160  # newsletters hide a line for the inbox preview: harmless below this
_PADDING = "\u034f\u00ad\u200b\u200c\u200d\u2060\ufeff"  # what they fill that line up with, beside spaces
_SELECTED = "a[href],area[href],img,form,iframe"


@dataclass(slots=True)
class Link:
    """An address and the text that is shown for it ("" in plain text)."""

    url: str
    text: str = ""


@dataclass(slots=True)
class Page:
    """A parsed HTML part. `hidden_characters` counts text that is in it but not shown."""

    text: str = ""
    links: list[Link] = field(default_factory=list)
    images: int = 0
    inline_images: int = 0
    forms: int = 0
    hidden_characters: int = 0


def read_page(markup: str, *, is_source: bool = False) -> Page:
    """Return what is to be seen of `markup`; never raises on bad HTML. `is_source`: the reader sees the source itself,
    so nothing of it is hidden."""
    shortened = _flattened(_without_blocks(markup)[:_PARSED_CHARACTERS])
    page = Page()
    tree = LexborHTMLParser(shortened)
    root = tree.body or tree.root
    if root is None:
        return page
    lowered = shortened.lower()
    if not is_source and any(sign in lowered for sign in _MAY_HIDE):
        page.hidden_characters = _drop_hidden(root, has_sheet="<style" in markup[:_SHEET_CHARACTERS].lower())
    for node in root.css(_SELECTED):
        _note(node, page)
    page.text = root.text(separator=" ") or ""
    return page


def _flattened(markup: str) -> str:
    """Return markup without blocks that lie too deep; their attributes and texts stay."""
    if markup.count("<") <= _MANY_TAGS:
        return markup
    depth = 0

    def swapped(match: re.Match[str]) -> str:
        nonlocal depth
        closing, name = match[1], match[2].lower()
        is_deep = depth >= _MAX_DEPTH
        if name not in _NEVER_OPEN:
            depth = max(0, depth - 1) if closing else depth + 1
        if not is_deep or not _LOOKS_BACK.fullmatch(name):
            return match[0]
        return "<wbr" if name == "hr" else f"<{closing}span"

    return _TAG.sub(swapped, markup)


def _note(node: LexborNode, page: Page) -> None:
    match node.tag:
        case "img":
            page.images += 1
            page.inline_images += (node.attributes.get("src") or "")[:4].lower() == "cid:"
        case "form" | "iframe":
            page.forms += 1
        case _ if len(page.links) < _MAX_LINKS:
            url = (node.attributes.get("href") or "").strip()
            if url and not url.startswith("#"):
                page.links.append(Link(url[:2000], " ".join(node.text(separator=" ").split())[:200]))


def _drop_hidden(root: LexborNode, *, has_sheet: bool) -> int:
    """Take what is hidden out of the tree; return how much text that was, beyond one preview line."""
    hidden, without_size = [], []
    for node in root.css("[style],[hidden]")[:_MAX_STYLED]:
        attributes = node.attributes
        style = (attributes.get("style") or "")[:_MAX_STYLE]
        if "hidden" in attributes or _HIDING.search(style):
            hidden.append(node)
        elif _NO_SIZE.search(style):
            without_size += _without_size(node, has_sheet=has_sheet)
    if not hidden and not without_size:
        return 0
    characters = _shown_characters(root)
    for node in without_size:
        node.decompose()
    for node in reversed(hidden):  # inner ones first: a decomposed parent takes its children with it
        node.decompose(recursive=True)
    characters -= _shown_characters(root)
    return characters if characters > _PREHEADER_CHARACTERS else 0


def _without_size(node: LexborNode, *, has_sheet: bool) -> list[LexborNode]:
    """The texts within `node`, whose font has no size, that no element gives a size again: templates lay columns out
    in cells without a size. With a style sheet any class may give one; an element that names one has its own turn."""
    found, waiting = [], [node]
    while waiting:
        for child in waiting.pop().iter(include_text=True):
            if child.tag == "-text":
                found.append(child)
            elif not _gives_size(child, has_sheet=has_sheet):
                waiting.append(child)
    return found


def _gives_size(node: LexborNode, *, has_sheet: bool) -> bool:
    attributes = node.attributes
    named = "font-size" in (attributes.get("style") or "").lower() or "size" in attributes
    return named or (has_sheet and "class" in attributes)


def _shown_characters(root: LexborNode) -> int:
    """How many characters of text there are, but for spaces and what pads a preview line."""
    text = "".join((root.text() or "").split())
    return len(text) if text.isascii() else len(text) - sum(map(text.count, _PADDING))


def _without_blocks(markup: str) -> str:
    """Cut comments, styles and scripts: never shown, often larger than the rest. Linear, unlike a lazy regex."""
    lowered = markup.lower()
    if len(lowered) != len(markup):  # some capitals lower to two characters: positions would differ
        markup = lowered
    for opening, closing in (("<!--", "-->"), ("<style", "</style"), ("<script", "</script"), ("<title", "</title")):
        if opening not in lowered:
            continue
        kept, position = [], 0
        while (start := lowered.find(opening, position)) >= 0:
            kept.append(markup[position:start])
            end = lowered.find(closing, start)
            if end < 0:
                position = len(markup) if opening != "<!--" else start + 4
                break
            closed = lowered.find(">", end)
            position = closed + 1 if closed >= 0 else len(markup)
        markup = "".join([*kept, markup[position:]])
        lowered = markup.lower()
    return markup
