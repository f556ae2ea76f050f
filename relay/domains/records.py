"""The DNS records a customer pastes into its zone, and how a zone file writes them. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relay.delivery.signing.dkim_keys import dns_record
from relay.domains.keys import DkimKey, Domain
from relay.policy.verdict.lockdown import record_for

_TXT_BYTES = 255  # of one string in a TXT record, RFC 1035 3.3


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """A record to publish: `name` in full, `value` unquoted; `why` says what it is for."""

    name: str
    kind: str
    value: str
    why: str


@dataclass(frozen=True, slots=True)
class Ourselves:
    """What of this relay stands in customers' records: its name, the addresses it sends from, an SPF name for them
    ("": none), the label of lockdown records, and the name that takes bounces (verp.domain; "": its own name does)."""

    hostname: str
    addresses: tuple[str, ...]
    spf_include: str
    lockdown_label: str
    return_path: str = ""


def records_of(domain: Domain, keys: Iterable[DkimKey], ourselves: Ourselves) -> list[DnsRecord]:
    """All records of a domain: those that must be there first."""
    name = domain.name
    found = [dkim_record(key) for key in keys if key.pem]
    found.append(DnsRecord(name, "TXT", spf_value(ourselves), f"SPF: {ourselves.hostname} may send for {name}"))
    found.append(
        DnsRecord(
            f"_dmarc.{name}",
            "TXT",
            "v=DMARC1; p=none",
            "DMARC: to begin with; p=quarantine or p=reject once all mail of the domain is aligned",
        )
    )
    if ourselves.lockdown_label:
        why = f"optional: of this relay's accounts only {domain.account} may use the domain"
        found.append(DnsRecord(f"{ourselves.lockdown_label}.{name}", "TXT", record_for(domain.account), why))
    if domain.return_path_host:
        found += _return_path(domain.return_path_host, ourselves)
    return found


def _return_path(host: str, ourselves: Ourselves) -> list[DnsRecord]:
    why = "bounces of the domain's mail come to the relay, which counts and forwards them"
    if ourselves.return_path:
        return [DnsRecord(host, "CNAME", f"{ourselves.return_path}.", f"{why}; SPF stands at that name")]
    spf = DnsRecord(host, "TXT", spf_value(ourselves), "SPF of the return path")
    return [DnsRecord(host, "MX", f"10 {ourselves.hostname}.", why), spf]


def dkim_record(key: DkimKey) -> DnsRecord:
    """The record of a key that still has its private half."""
    return DnsRecord(f"{key.selector}._domainkey.{key.domain}", "TXT", dns_record(key.pem), f"DKIM {key.algorithm}")


def spf_value(ourselves: Ourselves) -> str:
    """An SPF record for a domain that has none; its terms go into the one there is."""
    return " ".join(["v=spf1", *spf_terms(ourselves), "~all"])


def spf_terms(ourselves: Ourselves) -> Sequence[str]:
    """What an SPF record needs for us: an include, our addresses, or our name."""
    if ourselves.spf_include:
        return [f"include:{ourselves.spf_include}"]
    networks = [f"ip{6 if ':' in address else 4}:{address}" for address in ourselves.addresses]
    return networks or [f"a:{ourselves.hostname}"]


def zone_line(record: DnsRecord) -> str:
    """A record as a zone file wants it."""
    value = txt_strings(record.value) if record.kind == "TXT" else record.value
    return f"{record.name}. 300 IN {record.kind} {value}"


def txt_strings(text: str) -> str:
    """Write a TXT value as quoted strings of at most 255 bytes.

    >>> txt_strings('say "v=mw1"')
    '"say \\\\"v=mw1\\\\""'
    """
    pieces = [text[start : start + _TXT_BYTES] for start in range(0, len(text), _TXT_BYTES)] or [""]
    return " ".join('"' + piece.replace("\\", "\\\\").replace('"', '\\"') + '"' for piece in pieces)
