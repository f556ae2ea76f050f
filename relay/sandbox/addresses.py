"""Which address does what. Pure."""

from enum import StrEnum

from relay.reply import Reply


class Behaviour(StrEnum):
    """What an address of the sandbox does: the word is its local part; any other one takes mail at once."""

    DELIVER = "deliver"
    BOUNCE = "bounce"  # fails for good, as an address that does not exist
    COMPLAINT = "complaint"  # takes mail, and its owner complains some seconds later
    SLOW = "slow"  # takes mail after a long wait
    DEFER = "defer"  # refuses the first try for now, and takes the second


_WORDS = frozenset(behaviour.value for behaviour in Behaviour)
_TAKEN = Reply(250, "2.0.0", "taken by the sandbox")
_REFUSED = Reply(550, "5.1.1", "sandbox: no such user, on purpose")
_LATER = Reply(451, "4.3.0", "sandbox: not now, on purpose; the next try is taken")


def behaviour_of(address: str) -> Behaviour:
    """Return what an address does; a detail behind a plus sign is not looked at.

    >>> behaviour_of("Bounce+order17@sandbox.test"), behaviour_of("ann@sandbox.test")
    (<Behaviour.BOUNCE: 'bounce'>, <Behaviour.DELIVER: 'deliver'>)
    """
    word = address.rpartition("@")[0].partition("+")[0].lower()
    return Behaviour(word) if word in _WORDS else Behaviour.DELIVER


def reply_of(behaviour: Behaviour, attempts: int) -> Reply:
    """Return what the played server says of a recipient after so many failed tries."""
    match behaviour:
        case Behaviour.BOUNCE:
            return _REFUSED
        case Behaviour.DEFER:
            return _TAKEN if attempts else _LATER
        case Behaviour.DELIVER | Behaviour.COMPLAINT | Behaviour.SLOW:
            return _TAKEN


def lies_in(address: str, domain: str) -> bool:
    """Tell whether an address, or a bare domain, is the sandbox's; `domain` "": there is none.

    >>> lies_in("ann@Sandbox.test", "sandbox.test"), lies_in("sandbox.test", "")
    (True, False)
    """
    if not domain or address[-len(domain) :].lower() != domain:  # asked of every message and outcome
        return False
    return len(address) == len(domain) or address[-len(domain) - 1] == "@"
