"""Keys of the HTTP door: a login and its password as one bearer token, mw1.<base64url of the login>.<password>."""

import binascii
import re

_PREFIX = "mw1"
# What may stand in an Authorization header; the password comes last, so it may hold dots
_KEY = re.compile(r"mw1\.([A-Za-z0-9_-]+)\.([!-~]+)")
_URL_TO_BASE64 = str.maketrans("-_", "+/")
_BASE64_TO_URL = str.maketrans("+/", "-_")


def bearer_of(login: str, password: str) -> str:
    """Write the key. Raises ValueError for a password that no header can carry; generated ones all can.

    >>> bearer_of("web1", "s3cret")
    'mw1.d2ViMQ.s3cret'
    """
    encoded = binascii.b2a_base64(login.encode(), newline=False).decode().rstrip("=").translate(_BASE64_TO_URL)
    key = f"{_PREFIX}.{encoded}.{password}"
    if not _KEY.fullmatch(key):
        raise ValueError("a key carries printable ASCII without spaces only")
    return key


def login_of(bearer: str) -> tuple[bytes, bytes] | None:
    """Read login and password from a key as Authenticator.check wants them; None when it is none.

    >>> login_of("mw1.d2ViMQ.s3cret")
    (b'web1', b's3cret')
    """
    found = _KEY.fullmatch(bearer)
    if found is None:
        return None
    encoded = found[1].translate(_URL_TO_BASE64)
    try:
        login = binascii.a2b_base64(encoded + "=" * (-len(encoded) % 4), strict_mode=True)
    except binascii.Error:
        return None
    return login, found[2].encode()
