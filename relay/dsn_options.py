"""The DSN parameters of MAIL and RCPT (RFC 3461 sections 4 and 5): checked, and kept as they go to the next hop.

Raises PermanentError (501 5.5.4).
"""

import re

from relay.reply import PermanentError, Reply

NEVER, SUCCESS, FAILURE, DELAY = "NEVER", "SUCCESS", "FAILURE", "DELAY"

_ENVID_LENGTH, _ORCPT_LENGTH = 100, 500  # RFC 3461 sections 4.4 and 4.2
_xtext = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+").fullmatch
_orcpt = re.compile(r"[A-Za-z0-9.-]{1,40};(?:[!-*,-<>-~]|\+[0-9A-F]{2})+").fullmatch

_encoded = re.compile(r"\+([0-9A-F]{2})")

_BAD = Reply(501, "5.5.4", "bad DSN parameter")


def mail_options(parameters: dict[str, str]) -> str:
    """Return RET and ENVID as they may be said to the next hop; "" without them."""
    options = []
    if (ret := parameters.get("RET")) is not None:
        if ret.upper() not in ("FULL", "HDRS"):
            raise PermanentError(_BAD)
        options.append(f"RET={ret.upper()}")
    if (envid := parameters.get("ENVID")) is not None:
        if len(envid) > _ENVID_LENGTH or not _xtext(envid):
            raise PermanentError(_BAD)
        options.append(f"ENVID={envid}")
    return " ".join(options)


def rcpt_options(parameters: dict[str, str]) -> str:
    """Return NOTIFY and ORCPT likewise."""
    options = []
    if (notify := parameters.get("NOTIFY")) is not None:
        wanted = notify.upper().split(",")
        if wanted != [NEVER] and not {*wanted} <= {SUCCESS, FAILURE, DELAY}:
            raise PermanentError(_BAD)
        options.append(f"NOTIFY={','.join(dict.fromkeys(wanted))}")
    if (orcpt := parameters.get("ORCPT")) is not None:
        if len(orcpt) > _ORCPT_LENGTH or not _orcpt(orcpt):
            raise PermanentError(_BAD)
        options.append(f"ORCPT={orcpt}")
    return " ".join(options)


def notify_of(options: str) -> frozenset[str] | None:
    """Return what a recipient's sender wants to hear of, from rcpt_options' text; None where it did not say.

    >>> sorted(notify_of("NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b.example"))
    ['DELAY', 'SUCCESS']
    """
    for word in options.split():
        if word.startswith("NOTIFY="):
            return frozenset(word.removeprefix("NOTIFY=").split(","))
    return None


def option(options: str, name: str) -> str:
    """Return the value of RET, ENVID or ORCPT, still in xtext; "" without it."""
    for word in options.split():
        if word.startswith(f"{name}="):
            return word.removeprefix(f"{name}=")
    return ""


def decode_xtext(value: str) -> str:
    """Decode xtext (RFC 3461 section 4)."""
    return _encoded.sub(lambda match: chr(int(match[1], 16)), value)
