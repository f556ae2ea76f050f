"""Which addresses are on the public internet: what strangers' DNS and customers' URLs may make us talk to. Pure."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_UNICAST = IPv6Network("2000::/3")  # all that IANA gives out; Python calls site-local and v4-compatible ones global too
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 section 2.1: a gateway takes these to the IPv4 address at their end


def is_public(text: str) -> bool:
    """Tell whether an address is public; one that carries an IPv4 address, whether that is. Raises ValueError.

    >>> is_public("192.0.43.7"), is_public("64:ff9b::a9fe:a9fe"), is_public("fec0::1")
    (True, False, False)
    """
    address = ip_address(text.partition("%")[0])
    inner = _carried(address) if isinstance(address, IPv6Address) else address
    if isinstance(inner, IPv6Address) and inner not in _UNICAST:
        return False
    return inner.is_global and not inner.is_multicast


def _carried(address: IPv6Address) -> IPv4Address | IPv6Address:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
