"""An address that is to be forgotten, and what takes its place in text. Pure.

The name in its place is a keyed hash: the same address always gets the same one, so counts and joins stay what they
were, and without this node's key nobody can tell whose it was by trying addresses.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass

_NAME_HEX = 16
_FORM = re.compile(r"[^\s@<>\"|]{1,64}@[^\s@<>\"|,;]{1,255}")
# no letter of a longer local part before it, none of a longer domain behind it; `|` and `=` are no such letters, as
# keys of senders and headers have them there
BEFORE, BEHIND = r"A-Za-z0-9._%+-", r"A-Za-z0-9-"


class NoAddress(Exception):
    """It is no address; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """`token` stands where `address`, in lower case, stood."""

    address: str
    token: str
    _found: re.Pattern[str]

    @classmethod
    def of(cls, address: str, token: str) -> "Forgotten":
        """Raises NoAddress."""
        wanted = address.strip().lower()
        if not _FORM.fullmatch(wanted):
            raise NoAddress(f"{address!r}: write one whole address, like ann@example.org")
        found = rf"(?<![{BEFORE}]){re.escape(wanted)}(?![{BEHIND}]|\.[A-Za-z0-9])"
        return cls(wanted, token, re.compile(found, re.IGNORECASE))

    def is_in(self, text: str) -> bool:
        return self._found.search(text) is not None

    def replace(self, text: str) -> str:
        """The text without the address.

        >>> Forgotten.of("ann@x.example", "N").replace("joann@x.example <Ann@X.example>, ann@x.example.org")
        'joann@x.example <N>, ann@x.example.org'
        """
        return self._found.sub(self.token, text)

    def replace_in(self, value: object) -> object:
        """The same for what JSON can hold, keys of objects excepted."""
        match value:
            case str():
                return self.replace(value)
            case list():
                return [self.replace_in(one) for one in value]
            case dict():
                return {key: self.replace_in(one) for key, one in value.items()}
            case _:
                return value


def token_of(secret: bytes, address: str) -> str:
    """The name in an address's place.

    >>> token_of(b"key", "ann@x.example") == token_of(b"key", "ANN@x.example")
    True
    """
    digest = hmac.new(secret, b"forget\0" + address.strip().lower().encode(), hashlib.sha256).hexdigest()
    return f"forgotten-{digest[:_NAME_HEX]}@forgotten.invalid"
