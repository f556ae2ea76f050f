"""Writes MMDB files for tests, by the published format (MaxMind DB File Format 2.0), without its library."""

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

_UINT16, _UINT32, _UINT64 = 5, 6, 9
_MARKER = b"\xab\xcd\xefMaxMind.com"
_EMPTY = -1  # in the tree, until the number of nodes is known


def write(path: Path, records: Mapping[str, Mapping[str, Any]], *, built_unix: int = 1_790_000_000) -> None:
    """Write a database of networks and what is known of them; the whole tree is of IPv6, as usual files are."""
    nodes: list[list[int | str]] = [[_EMPTY, _EMPTY]]
    data, offsets = b"", {}
    for network, record in records.items():
        offsets[network] = len(data)
        data += _encoded(record)
        _hang(nodes, network)
    count = len(nodes)
    tree = b"".join(_record(side, count, offsets) for node in nodes for side in node)
    metadata = {
        "node_count": (_UINT32, count),
        "record_size": (_UINT16, 24),
        "ip_version": (_UINT16, 6),
        "database_type": "Test",
        "languages": [],
        "binary_format_major_version": (_UINT16, 2),
        "binary_format_minor_version": (_UINT16, 0),
        "build_epoch": (_UINT64, built_unix),
        "description": {"en": "made in a test"},
    }
    beside = path.with_suffix(".new")
    beside.write_bytes(tree + bytes(16) + data + _MARKER + _encoded(metadata))
    beside.rename(path)


def _hang(nodes: list[list[int | str]], network: str) -> None:
    found = ip_network(network)
    shift = 96 if found.version == 4 else 0
    bits = f"{int(found.network_address):0128b}"[: found.prefixlen + shift]
    at = 0
    for bit in bits[:-1]:
        below = nodes[at][int(bit)]
        if below == _EMPTY:
            nodes.append([_EMPTY, _EMPTY])
            below = nodes[at][int(bit)] = len(nodes) - 1
        assert isinstance(below, int)  # networks of one test do not lie within each other
        at = below
    nodes[at][int(bits[-1])] = network


def _record(side: int | str, count: int, offsets: Mapping[str, int]) -> bytes:
    value = count + 16 + offsets[side] if isinstance(side, str) else count if side == _EMPTY else side
    return value.to_bytes(3, "big")


def _encoded(value: Any) -> bytes:
    match value:
        case str():
            return _headed(2, len(value.encode())) + value.encode()
        case list():
            return _headed(11, len(value)) + b"".join(map(_encoded, value))
        case int():
            return _encoded((_UINT32, value))
        case (kind, number):
            raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
            return _headed(kind, len(raw)) + raw
        case _:
            pairs = b"".join(_encoded(key) + _encoded(one) for key, one in value.items())
            return _headed(7, len(value)) + pairs


def _headed(kind: int, size: int) -> bytes:
    short, rest = (size, b"") if size < 29 else (29, bytes([size - 29]))
    return (bytes([kind << 5 | short]) if kind < 8 else bytes([short, kind - 7])) + rest
