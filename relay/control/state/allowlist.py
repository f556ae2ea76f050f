"""Networks whose clients need no password: found by one look-up per prefix length in use, however many there are."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from relay.account import AllowedNetwork

_REMEMBERED = 10_000  # answers; strangers knocking from everywhere cost a fresh start, not memory
_BITS = {4: 32, 6: 128}


class Allowlist:
    """The narrowest network of an address wins."""

    def __init__(self, networks: list[AllowedNetwork]) -> None:
        # by version: prefix length, longest first, to the networks of that length by their leading bits
        self._by_prefix: dict[int, dict[int, dict[int, AllowedNetwork]]] = {4: {}, 6: {}}
        self._answers: dict[str, str] = {}
        for allowed in networks:
            self.add(allowed)

    def __iter__(self) -> Iterator[AllowedNetwork]:
        for tables in self._by_prefix.values():
            for table in tables.values():
                yield from table.values()

    def get(self, network: IPv4Network | IPv6Network) -> AllowedNetwork | None:
        """Exactly this network, if it is allowed."""
        table = self._by_prefix[network.version].get(network.prefixlen, {})
        return table.get(_leading(network.network_address, network.prefixlen))

    def add(self, allowed: AllowedNetwork) -> None:
        network = allowed.network
        tables = self._by_prefix[network.version]
        if network.prefixlen not in tables:
            tables[network.prefixlen] = {}
            self._by_prefix[network.version] = dict(sorted(tables.items(), reverse=True))
            tables = self._by_prefix[network.version]
        tables[network.prefixlen][_leading(network.network_address, network.prefixlen)] = allowed
        self._answers.clear()

    def remove(self, allowed: AllowedNetwork) -> None:
        network = allowed.network
        table = self._by_prefix[network.version].get(network.prefixlen, {})
        table.pop(_leading(network.network_address, network.prefixlen), None)
        if not table:
            self._by_prefix[network.version].pop(network.prefixlen, None)
        self._answers.clear()

    def account_of(self, client_ip: str) -> str:
        """The account of an address, "" when it is nobody's."""
        answer = self._answers.get(client_ip)
        if answer is None:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            answer = self._answers[client_ip] = self._look_up(client_ip)
        return answer

    def _look_up(self, client_ip: str) -> str:
        try:
            address = plain(client_ip)
        except ValueError:  # no peer name: the client has left already
            return ""
        for prefix, table in self._by_prefix[address.version].items():
            if found := table.get(_leading(address, prefix)):
                return found.account
        return ""


def plain(ip: str) -> IPv4Address | IPv6Address:
    """An address as it is compared: without its zone, and IPv4 when it is that in the clothes of IPv6."""
    address = ip_address(ip.partition("%")[0])
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _leading(address: IPv4Address | IPv6Address, prefix: int) -> int:
    return int(address) >> (_BITS[address.version] - prefix)
