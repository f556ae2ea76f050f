"""HTML as the lines people see: enough to read addresses and replies from. Linear in its length, whatever it holds."""

from html import unescape

_LONGEST_TAG = 2_000
_ENDS_LINE = ("br", "/p", "/div", "/tr", "/li", "/td", "/h", "p", "pre", "/pre", "hr")
_UNSEEN = ("style", "script", "head")


def plain(html: str) -> str:
    """Return the text of a page: a line for each paragraph, row or line break.

    >>> plain("<p>Recipient:<br><b>mina@shop.example</b></p>")
    '\\nRecipient:\\nmina@shop.example\\n'
    """
    lowered = html.lower()
    if len(lowered) != len(html):  # a few letters are longer in lower case: places would not agree
        html = lowered
    pieces, at = [], 0
    while (begin := html.find("<", at)) >= 0:
        pieces.append(html[at:begin])
        end = html.find(">", begin, begin + _LONGEST_TAG)
        if end < 0:
            pieces.append("<")
            at = begin + 1
            continue
        name = lowered[begin + 1 : end].split(None, 1)[0].rstrip("/") if lowered[begin + 1 : end].strip() else ""
        at = end + 1
        if name in _UNSEEN:
            at = lowered.find(f"</{name}", at)
            if at < 0:
                return unescape("".join(pieces))
        elif "@" in name:  # an address in brackets that nobody has escaped
            pieces.append(html[begin : end + 1])
        else:
            pieces.append("\n" if name.rstrip("123456") in _ENDS_LINE else "")
    return unescape("".join([*pieces, html[at:]]))
