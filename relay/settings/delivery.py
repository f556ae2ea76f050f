"""Settings of the sending half."""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from pydantic import Field

from relay.settings.sections import Section


class Delivery(Section):
    """The sending half."""

    mode: Literal["direct", "smarthost", "sink"] = Field(
        "direct",
        description="direct: MX of each domain; smarthost: everything to `smarthost`; sink: like smarthost, no TLS",
    )
    smarthost: str = Field("", description="host:port of the smarthost or sink")
    smarthost_user: str = Field("", description="login at the smarthost")
    smarthost_password: str = Field(
        "", repr=False, description="its password; better as MAILWEIR_DELIVERY__SMARTHOST_PASSWORD"
    )
    tls: Literal["opportunistic", "required", "none"] = Field("opportunistic", description="STARTTLS towards next hops")
    connections: int = Field(10, ge=1, le=1000, description="at once, per destination")
    messages_per_connection: int = Field(100, ge=1, description="then a new connection")
    providers: Path | None = Field(
        None, description="TOML of your own over rules/providers.toml: limits and rules by mailbox provider"
    )
    first_retry_seconds: float = Field(300, ge=0.1, description="then doubling to 40 min, then x1.5 up to 4 h")
    max_retry_seconds: float = Field(14_400, ge=0.1, description="the longest wait between two tries")
    lifetime_hours: float = Field(48, gt=0, le=120, description="then the message bounces; RFC 5321 suggests 4-5 days")
    host_failure_seconds: float = Field(120, ge=0, description="a host that cannot be reached is left alone for")
    timeout_seconds: float = Field(
        300,
        ge=1,
        description="per reply of a next hop (RFC 5321 4.5.3.2); to connect, greet and start TLS at most 60, DATA 120, "
        "for the final dot five times as long, at most 600",
    )
    ip_version: Literal["4-first", "6-first", "4", "6"] = Field(
        "4-first", description="family tried first at each mail exchanger, or the only one; most blocklists know IPv4"
    )
    nameservers: list[str] = Field([], description="host or host:port; empty: those of the system")
    dns_timeout_seconds: float = Field(10, gt=0, description="for one look-up")
    mx_port: int = Field(25, ge=1, le=65_535, description="port of hosts found by MX; another one only in a lab")
    private_networks: list[IPv4Network | IPv6Network] = Field(
        [], description="networks off the public internet that an MX may point to; else such mail bounces (5.4.4)"
    )
    ca_file: Path | None = Field(None, description="PEM, authorities trusted beside the system's")
    mta_sts: bool = Field(
        True, description="keep to the MTA-STS policies of domains whose mail goes by MX (RFC 8461); not with tls none"
    )
    mta_sts_port: int = Field(443, ge=1, le=65_535, description="port policies are fetched from; another in a lab only")
    dane: bool = Field(
        False, description="check next hops by their TLSA records (RFC 7672); needs a validating resolver"
    )
    trusted_nameservers: list[IPv4Network | IPv6Network] = Field(
        [], description="networks of validating resolvers whose AD bit is believed; those on loopback are"
    )
    bounce_sender: str = Field("", description="From: of our bounces; default postmaster@hostname")
    delay_report_hours: float = Field(
        4, ge=0, description="a sender who may be told hears after it that mail still waits, once; 0: never"
    )
    digest_minutes: float = Field(
        60, gt=0, description="an account's contact hears at most so often of failures whose senders may not be told"
    )
