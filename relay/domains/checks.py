"""Looks a customer's domain up in DNS, record by record, and says of each what is there and what should be."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from relay.domains.keys import DkimKey, Domain, Sight
from relay.domains.lookups import LookupFailed, Lookups
from relay.domains.records import Ourselves, dkim_record, spf_terms, spf_value
from relay.domains.spf import SpfResult, check_host
from relay.domains.views import CheckLine, Finding
from relay.policy.verdict.lockdown import Lock, decide, read_record, record_for

_LONGEST_SECONDS = 5.0  # of one line, all lines are looked up together: the client of the control API waits for 10 s
_SMALLEST_RSA = 1024  # RFC 8301 3.2; verifiers take nothing below for good


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found. `sights` are those of the keys, by selector; `return_path` is None where the domain has none."""

    lines: list[CheckLine]
    sights: dict[str, Sight]
    is_proved: bool
    return_path: Finding | None


class Inspector:
    """Looks domains up for one relay."""

    def __init__(self, dns: Lookups, organisation: Callable[[str], str], sending_tls: str) -> None:
        """`organisation`: the registered domain of a name; `sending_tls`: the setting delivery.tls."""
        self._dns, self._organisation, self._sending_tls = dns, organisation, sending_tls

    async def glance(self, domain: Domain, keys: Iterable[DkimKey], ourselves: Ourselves) -> Inspection:
        """Look for keys and return path only: what decides how the domain's mail is sent."""
        chosen = [key for key in keys if key.pem]
        found = await asyncio.gather(*(self._dkim(key) for key in chosen))
        sights = {key.selector: sight for key, (sight, _) in zip(chosen, found, strict=True)}
        bounces = None
        if domain.return_path_host:
            bounces = (await _guarded("return path", self._return_path(domain, ourselves))).finding
        return Inspection([], sights, Sight.SEEN in sights.values(), bounces)

    async def inspect(self, domain: Domain, keys: Sequence[DkimKey], ourselves: Ourselves) -> Inspection:
        """Look at everything."""
        addresses = await self._own_addresses(ourselves)
        living = [key for key in keys if key.pem]
        signing = asyncio.gather(*(self._dkim(key) for key in living))
        spf = asyncio.gather(
            *(_guarded(f"SPF for {address}", self._spf(domain.name, address, ourselves)) for address in addresses)
        )
        reverse = asyncio.gather(*(_guarded("FCrDNS", self._reverse(address, ourselves)) for address in addresses))
        others = asyncio.gather(
            _guarded("DMARC", self._dmarc(domain.name, has_key=bool(living))),
            _guarded("lockdown", self._lockdown(domain, ourselves)),
            *([_guarded("return path", self._return_path(domain, ourselves))] if domain.return_path_host else []),
        )
        seen, (dmarc, lockdown, *bounces) = await signing, await others
        lines = [line for _, line in seen] or [_no_key(domain)]
        lines += [*(await spf or [_no_address(ourselves)]), dmarc, *await reverse, self._tls(), *bounces, lockdown]
        sights = {key.selector: sight for key, (sight, _) in zip(living, seen, strict=True)}
        return Inspection(
            lines,
            sights,
            # with `found`: where no lockdown record is obeyed, nothing was looked for and nothing is wrong
            Sight.SEEN in sights.values() or (lockdown.finding is Finding.OK and bool(lockdown.found)),
            bounces[0].finding if bounces else None,
        )

    async def _own_addresses(self, ourselves: Ourselves) -> Sequence[str]:
        if ourselves.addresses:
            return ourselves.addresses
        try:
            return await self._dns.addresses(ourselves.hostname)
        except LookupFailed:
            return []

    async def _dkim(self, key: DkimKey) -> tuple[Sight, CheckLine]:
        wanted = dkim_record(key)
        what = f"DKIM {key.selector}"
        try:
            texts = [text for text in await self._dns.texts(wanted.name) if text.strip()]
        except LookupFailed as error:
            return Sight.UNKNOWN, CheckLine(what=what, finding=Finding.UNKNOWN, wanted=wanted.value, text=str(error))
        if not texts:
            text = f"publish it at {wanted.name}; nothing is signed with this key until it is seen"
            return Sight.MISSING, CheckLine(what=what, finding=Finding.MISSING, wanted=wanted.value, text=text)
        problem = dkim_problem(texts, wanted.value)
        if problem:
            line = CheckLine(what=what, finding=Finding.WRONG, found=texts[0], wanted=wanted.value, text=problem)
            return Sight.WRONG, line
        return Sight.SEEN, CheckLine(
            what=what, finding=Finding.OK, found=texts[0], text=f"{key.algorithm}, as it should be"
        )

    async def _spf(self, domain: str, address: str, ourselves: Ourselves) -> CheckLine:
        answer = await check_host(self._dns, address, domain)
        what, terms = f"SPF for {address}", " ".join(spf_terms(ourselves))
        match answer.result:
            case SpfResult.PASS:
                text = f"{answer.term} lets it send ({answer.lookups} of 10 look-ups)"
                return CheckLine(what=what, finding=Finding.OK, found=answer.record, text=text)
            case SpfResult.NONE:
                text = "no SPF record: publish one"
                return CheckLine(what=what, finding=Finding.MISSING, wanted=spf_value(ourselves), text=text)
            case SpfResult.TEMPERROR:
                return CheckLine(what=what, finding=Finding.UNKNOWN, found=answer.record, text=answer.why)
            case SpfResult.PERMERROR:
                return CheckLine(what=what, finding=Finding.WRONG, found=answer.record, wanted=terms, text=answer.why)
            case _:
                by = f" by {answer.term}" if answer.term else ""
                text = f"{answer.result}{by}: put {terms} before the last term"
                return CheckLine(what=what, finding=Finding.WRONG, found=answer.record, wanted=terms, text=text)

    async def _dmarc(self, domain: str, *, has_key: bool) -> CheckLine:
        organisation = self._organisation(domain)
        for name in dict.fromkeys([domain, organisation] if organisation else [domain]):
            records = [text for text in await self._dns.texts(f"_dmarc.{name}") if text.lower().startswith("v=dmarc1")]
            if len(records) > 1:
                text = f"{len(records)} records at _dmarc.{name}: receivers ignore them all"
                return CheckLine(what="DMARC", finding=Finding.WRONG, found=" | ".join(records), text=text)
            if records:
                return _dmarc_line(records[0], domain, name, has_key=has_key)
        text = f"publish it at _dmarc.{domain}: large providers ask for it from those who send much"
        return CheckLine(what="DMARC", finding=Finding.MISSING, wanted="v=DMARC1; p=none", text=text)

    async def _reverse(self, address: str, ourselves: Ourselves) -> CheckLine:
        what, names = f"FCrDNS of {address}", await self._dns.names(address)
        if not names:
            text = "no PTR record: who owns the address must set it"
            return CheckLine(what=what, finding=Finding.MISSING, wanted=ourselves.hostname, text=text)
        for name in names:
            if address in await self._dns.addresses(name):
                return CheckLine(what=what, finding=Finding.OK, found=name, text=f"{name} points back to it")
        text = f"{names[0]} does not point back to {address}"
        return CheckLine(what=what, finding=Finding.WRONG, found=names[0], wanted=ourselves.hostname, text=text)

    async def _lockdown(self, domain: Domain, ourselves: Ourselves) -> CheckLine:
        if not ourselves.lockdown_label:
            return CheckLine(
                what="lockdown", finding=Finding.OK, text="not obeyed here (lockdown.mode)", is_needed=False
            )
        name, wanted = f"{ourselves.lockdown_label}.{domain.name}", record_for(domain.account)
        records = [record for text in await self._dns.texts(name) if (record := read_record(name, text))]
        result = decide(domain.name, records, domain.account, "")
        match result.lock:
            case Lock.ALLOWED:
                return CheckLine(what="lockdown", finding=Finding.OK, found=result.record, text="names this account")
            case Lock.REFUSED:
                text = f"its record does not name the account {domain.account} as a whole"
                return CheckLine(what="lockdown", finding=Finding.WRONG, found=result.record, wanted=wanted, text=text)
            case _:
                text = f"optional, at {name}: without it any account here may use the domain"
                return CheckLine(what="lockdown", finding=Finding.MISSING, wanted=wanted, text=text, is_needed=False)

    async def _return_path(self, domain: Domain, ourselves: Ourselves) -> CheckLine:
        host, target = domain.return_path_host, ourselves.return_path
        wanted = f"CNAME {target}." if target else f"MX 10 {ourselves.hostname}."
        exchangers = await self._dns.exchangers(host)
        ours = {ourselves.hostname.lower(), *(await self._dns.exchangers(target) if target else ())}
        if exchangers and ours.issuperset(exchangers):
            text = f"bounces to {host} come here"
            return CheckLine(what="return path", finding=Finding.OK, found=", ".join(exchangers), text=text)
        if exchangers:
            text, found = f"bounces to {host} go elsewhere", ", ".join(exchangers)
            return CheckLine(what="return path", finding=Finding.WRONG, found=found, wanted=wanted, text=text)
        text = f"publish it at {host}"
        return CheckLine(what="return path", finding=Finding.MISSING, wanted=wanted, text=text)

    def _tls(self) -> CheckLine:
        if self._sending_tls == "none":
            text = "delivery.tls = none: large providers refuse mail in clear text"
            return CheckLine(what="TLS", finding=Finding.WRONG, found="none", wanted="opportunistic", text=text)
        return CheckLine(
            what="TLS", finding=Finding.OK, found=self._sending_tls, text="mail leaves in TLS where it can"
        )


def dkim_problem(texts: Sequence[str], wanted: str) -> str:
    """Say what is wrong with what stands at a selector; "" when it is our record, however it is written."""
    if len(texts) > 1:
        return f"{len(texts)} TXT records at one selector: verifiers take any of them"
    found, ours = _tags(texts[0]), _tags(wanted)
    if found.get("v", "DKIM1") != "DKIM1":
        return "v= is not DKIM1"
    if not found.get("p"):
        return "p= is empty: the key is revoked"
    if found.get("k", "rsa") != ours["k"]:
        return f"k={found.get('k', 'rsa')} is another algorithm"
    if found["p"] == ours["p"]:
        return ""
    bits = _rsa_bits(found["p"]) if ours["k"] == "rsa" else 0
    if ours["p"].startswith(found["p"]):
        return "the record is cut off: a TXT string holds 255 bytes, so split it in two, as shown"
    if bits and bits < _SMALLEST_RSA:
        return f"a key of {bits} bits: verifiers take none below {_SMALLEST_RSA}; and it is not ours"
    return "another key, not the one this relay signs with"


def _tags(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip(): "".join(value.split()) for name, found, value in pairs if found}


def _rsa_bits(encoded: str) -> int:
    """The size of a published RSA key, 0 where it is none."""
    try:
        key = serialization.load_der_public_key(base64.b64decode(encoded, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        return 0
    return key.key_size if isinstance(key, rsa.RSAPublicKey) else 0


def _dmarc_line(record: str, domain: str, at: str, *, has_key: bool) -> CheckLine:
    tags = _tags(record)
    policy = tags.get("p" if at == domain else "sp", tags.get("p", ""))
    where = f"at _dmarc.{at}, policy {policy or 'none'}"
    if policy not in ("none", "quarantine", "reject"):
        text = f"{where}: p= must be none, quarantine or reject"
        return CheckLine(what="DMARC", finding=Finding.WRONG, found=record, wanted="v=DMARC1; p=none", text=text)
    if not has_key:
        text = f"{where}, but no key of the domain signs, so only SPF can be aligned, and forwarding breaks that"
        return CheckLine(what="DMARC", finding=Finding.WRONG, found=record, wanted="a DKIM key", text=text)
    strict = ", strict: mail of names below it needs keys of their own" if tags.get("adkim") == "s" else ""
    return CheckLine(
        what="DMARC", finding=Finding.OK, found=record, text=f"{where}; DKIM d={domain} is aligned{strict}"
    )


def _no_key(domain: Domain) -> CheckLine:
    text = f"no key: mailweir domain add {domain.account} {domain.name}"
    return CheckLine(what="DKIM", finding=Finding.MISSING, wanted="a key of this domain", text=text)


def _no_address(ourselves: Ourselves) -> CheckLine:
    text = f"{ourselves.hostname} has no address, and no source names one; see node.hostname"
    return CheckLine(what="SPF", finding=Finding.UNKNOWN, wanted=" ".join(spf_terms(ourselves)), text=text)


async def _guarded(what: str, looking: Awaitable[CheckLine]) -> CheckLine:
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            return await looking
    except LookupFailed as error:
        return CheckLine(what=what, finding=Finding.UNKNOWN, text=str(error))
    except TimeoutError:
        text = f"DNS did not tell within {_LONGEST_SECONDS:g} s"
        return CheckLine(what=what, finding=Finding.UNKNOWN, text=text)
