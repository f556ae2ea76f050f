"""A login and its password as one bearer token, for HTTP clients: mw1.<login in base64url>.<password>.

It holds the password as it is; nothing may log it.
"""

import base64
import binascii

_PREFIX = "mw1"


def bearer_of(login: str, password: str) -> str:
    """Return the token of a credential.

    >>> bearer_of("shop1", "secret")
    'mw1.c2hvcDE.secret'
    """
    return f"{_PREFIX}.{base64.urlsafe_b64encode(login.encode()).rstrip(b'=').decode()}.{password}"


def login_of(bearer: str) -> tuple[bytes, bytes] | None:
    """Return login and password of a token, None for what is no token of ours.

    >>> login_of("mw1.c2hvcDE.secret")
    (b'shop1', b'secret')
    """
    prefix, _, rest = bearer.partition(".")
    encoded, dot, password = rest.partition(".")
    if prefix != _PREFIX or not dot or not encoded or not bearer.isascii():
        return None
    try:
        login = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    return login, password.encode()
