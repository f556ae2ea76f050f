"""Settings of what stands beside the mail's way: added headers, web listener, control API, the other programs."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, model_validator

from relay.dns_lists import Kind, not_agreed

# of a header line: no comma, quote, space or non-ASCII letter that would need quoting there
_ADDRESS = r"^$|^[A-Za-z0-9._+=-]{1,64}@([A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}$"


class Section(BaseModel):
    """One table of the settings file. An unknown key is an error; nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Verp(Section):
    """Return paths of ours, by which a bounce finds its message (docs/bounces.md)."""

    domain: str = Field(
        "", description="host name whose MX leads to smtp.inbox_listen; bounces of senders of its own domain go there"
    )
    rotate_days: int = Field(90, ge=1, description="a new key signs return paths after so many days")


class Inbox(Section):
    """The listener for bounces, reports and mail about abuse (docs/inbox.md)."""

    addresses: list[Literal["abuse", "postmaster", "fbl", "dmarc", "tlsrpt"]] = Field(
        ["abuse", "postmaster", "fbl", "dmarc", "tlsrpt"],
        description="local parts that take mail beside the return paths; abuse and postmaster take people's too",
    )
    domains: list[str] = Field([], description="their domains; empty: node.hostname and verp.domain")
    max_size_bytes: int = Field(1_048_576, ge=65_536, le=26_214_400, description="larger reports: 552 5.3.4")
    reports_per_minute: int = Field(600, ge=1, description="of one client address; beyond: 450 4.7.0")
    max_connections_per_address: int = Field(20, ge=1, description="beyond: 421 4.7.0")
    keep_days: int = Field(30, ge=0, description="reports stay as they came for; 0: none is kept")
    keep_megabytes: int = Field(1024, ge=1, description="for all kept reports; beyond, the oldest leave first")


class Imap(Section):
    """A mailbox elsewhere in which reports are collected; analytics fetches what is unseen (docs/inbox.md)."""

    host: str = Field("", description="IMAP server; empty: nothing is fetched")
    port: int = Field(993, ge=1, le=65_535, description="of the server; 143 with starttls")
    tls: Literal["tls", "starttls", "none"] = Field("tls", description="none: on loopback only")
    ca_file: Path | None = Field(None, description="PEM of who signed the server's certificate; else the system's")
    user: str = Field("", description="login name")
    password: str = Field("", repr=False, description="better by MAILWEIR_IMAP__PASSWORD than in the file")
    folder: str = Field("INBOX", description="its unseen mail is taken and marked as seen")
    mailbox: Literal["imported", "abuse", "postmaster", "fbl", "dmarc", "tlsrpt"] = Field(
        "imported", description="what it collects; of abuse and postmaster people's mail becomes a case"
    )
    delete: bool = Field(False, description="delete what was taken")
    every_minutes: float = Field(5, gt=0, description="between two looks")

    @model_validator(mode="after")
    def _private(self) -> Self:
        if self.tls == "none" and self.host not in ("", "localhost", "127.0.0.1", "::1"):
            raise ValueError(f"tls = none sends the password in clear text to {self.host}; set tls = starttls or tls")
        return self


class Places(Section):
    """Where clients are, by files that you fetch and keep fresh yourself (docs/signals.md)."""

    files: list[Path] = Field(
        [],
        description="MMDB files with the country or the autonomous system (ASN) of addresses, like "
        "GeoLite2-Country.mmdb; read into memory, and anew when they change; empty: only networks are told apart",
    )


class Suppression(Section):
    """What keeps an account from writing again to addresses that refused its mail (docs/inbox.md)."""

    hard_bounces: bool = Field(True, description="an address that does not exist is suppressed; complaints always are")
    first_days: int = Field(30, ge=1, description="after the first hard bounce")
    again_days: int = Field(180, ge=1, description="after another one, a day or more later")


class Sandbox(Section):
    """Addresses that behave on purpose, for programs under test (docs/applications.md); nothing of it leaves us."""

    domain: str = Field(
        "sandbox.test",
        pattern=r"^([a-z0-9-]+\.)+[a-z0-9-]+$|^$",
        description="bounce@, complaint@, slow@, defer@ of it do what they say; others take mail; empty: no sandbox",
    )
    slow_seconds: float = Field(20, ge=0, le=600, description="until slow@ takes mail")
    complaint_seconds: float = Field(5, ge=0, le=600, description="until complaint@ complains of mail it has taken")


class Headers(Section):
    """Header lines the relay adds beside its signature."""

    feedback_id: str = Field(
        "mailweir",
        pattern=r"^([A-Za-z0-9]{5,15})?$",
        description="SenderId of the Feedback-ID header that Gmail counts complaints by; empty: no such header",
    )
    cfbl_address: str = Field(
        "",
        pattern=_ADDRESS,
        description="CFBL-Address (RFC 9477), where providers may send complaints: in dkim.domain, whose MX leads to"
        " the inbox; empty: no such header, as nobody may read what comes there",
    )
    unsubscribe_address: str = Field(
        "",
        pattern=_ADDRESS,
        description="mailto: beside the link in List-Unsubscribe (RFC 2369), which the inbox takes in: its MX must lead"
        " there; empty: the link alone, as mail that bounces would unsubscribe nobody",
    )


class Web(Section):
    """The public web listener: mail by HTTP. Clear text: a reverse proxy in front of it does TLS, or `tls`."""

    listen: str = Field("127.0.0.1:8027", description="POST /v1/messages, /healthz; empty: no web listener")
    tls: bool = Field(
        False, description="HTTPS with smtp.tls_certificate; without it logins only from loopback, proxies"
    )
    trusted_proxies: list[IPvAnyNetwork] = Field(
        [], description="networks whose X-Forwarded-For and -Proto are believed"
    )
    timeout_seconds: float = Field(30, gt=0, description="for a request's header, then for every 64 KiB of its body")
    public_url: str = Field(
        "",
        max_length=200,  # with a token it must fit a header line of 998 bytes
        pattern=r"^$|^https://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?$|^http://(localhost|127\.0\.0\.1)(:\d+)?$",
        description="https://... under which people reach this listener; links in mails begin with it",
    )


class Notices(Section):
    """Mails that tell an account's contact and the abuse desk of decisions (docs/notices.md)."""

    on: bool = Field(True, description="send them; never in demo mode")
    interval_minutes: float = Field(60, gt=0, description="one of the same condition and sender in so long")
    bundle_minutes: float = Field(5, ge=0, description="one mail to the same people in so long, with all that happened")


class Webhooks(Section):
    """Calls of customers' and your own programs when something happens; sent by analytics (docs/webhooks.md)."""

    interval_minutes: float = Field(
        60, ge=0, description="one call of the same condition and sender in so long, by endpoint"
    )
    timeout_seconds: float = Field(10, gt=0, le=60, description="an endpoint may take to answer")
    private_networks: list[IPvAnyNetwork] = Field(
        [],
        description="networks off the public internet that an endpoint may be in, loopback too; else it is not called",
    )


class Control(Section):
    listen: str = Field("127.0.0.1:8025", description="control API, /metrics, /healthz")


class Analytics(Section):
    listen: str = Field("127.0.0.1:8026", description="query API")
    ingest_seconds: float = Field(0.5, gt=0, description="journals are looked through this often")
    reputation_seconds: float = Field(60, gt=0, description="reputation is computed this often")
    retention_days: int = Field(90, ge=1, description="messages stay in the warehouse for")
    feed_days: int = Field(
        400,
        ge=1,
        description="DMARC and TLS reports, SNDS and the like stay, with their files, for: a year, and its last",
    )
    retrain_labels: int = Field(
        200, ge=0, description="so many new labels retrain the model, which a gate then judges; 0: never"
    )
    promote: bool = Field(
        False, description="use a retrained model at once when it passes the gate; else `mailweir model promote` does"
    )
    keep_models: int = Field(
        5, ge=1, description="so many retrained models are kept, beside the one in use and those to roll back to"
    )
    words_days: int = Field(14, ge=1, description="hashes of all messages' words are kept for retraining")
    labelled_words_days: int = Field(180, ge=1, description="those of messages that somebody has labelled")


class Checkers(Section):
    """Checkers outside the relay, asked about each message; one that does not answer is named in the trace."""

    clamd: str = Field("", description="path of clamd's socket, or host:port; empty: not asked")
    clamd_max_bytes: int = Field(26_214_400, ge=1, description="larger messages are not given; its StreamMaxLength")
    url_lists: list[str] = Field([], description="DNS lists of bad domains, asked about domains in links")
    url_lists_agreed: bool = Field(
        False, description="you have read and keep the terms of the lists named; without it they are not used"
    )
    seconds: float = Field(4, gt=0, description="all of them may take together")

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        if self.url_lists and not self.url_lists_agreed:
            raise ValueError(
                "url_lists: most lists are free for little mail only; read the terms, then set url_lists_agreed = true"
            )
        return self


class Dnsbl(Section):
    """DNS lists that analytics asks about our addresses and our customers' domains."""

    zones: list[str] = Field([], description="DNS lists of addresses to ask, like bl.spamcop.net; none unless named")
    addresses: list[str] = Field(
        [], description="own IP addresses to check, beside the public ones of `mailweir ip ls`"
    )
    domain_zones: list[str] = Field(
        [], description="DNS lists of domains to ask about customers' From and link domains"
    )
    every_minutes: float = Field(
        15, gt=0, description="addresses; domains at first sight and daily; jittered by a tenth"
    )
    nameservers: list[str] = Field([], description="host or host:port; empty: those of the system")
    agreed: list[str] = Field(
        [], description="spamhaus, surbl, uribl, barracuda: you have read and keep their terms; else they are not asked"
    )
    keys: dict[str, str] = Field({}, repr=False, description="a list's name and the key it gave you, as for spamhaus")
    quarantine: bool = Field(True, description="a confirmed SBL, CSS, XBL or DROP listing takes the address out of use")
    table: Path | None = Field(None, description="TOML of your own over relay/rules/dnslists.toml: what answers mean")

    @model_validator(mode="after")
    def _agreed(self) -> Self:
        named: tuple[tuple[list[str], Kind], ...] = ((self.zones, "ip"), (self.domain_zones, "domain"))
        for zones, kind in named:
            for zone, name in not_agreed(zones, kind, self.agreed, self.keys).items() if zones else ():
                raise ValueError(
                    f"{zone} is free for little mail only, or after registration: read the terms of {name}, then "
                    f'set agreed = ["{name}"], or its key under dnsbl.keys'
                )
        return self


class Dashboard(Section):
    listen: str = Field("127.0.0.1:8501", description="the pages")
    sign_in: Literal["auto", "none", "local", "oidc"] = Field(
        "auto",
        description="who has to sign in. auto: everybody, with a password, as soon as there is a user (`mailweir user "
        "add`); none: nobody, only on loopback; oidc: through an OpenID Connect provider (docs/users.md)",
    )
    session_hours: float = Field(12, gt=0, le=720, description="then one signs in again")
    public_url: str = Field(
        "",
        pattern=r"^$|^https?://[A-Za-z0-9.:\[\]-]+/?$",
        description="where browsers reach the pages, https://...; the provider sends readers back there. empty: listen",
    )
    oidc_discovery: str = Field(
        "",
        pattern=r"^$|^https://.+$|^http://(localhost|127\.0\.0\.1)[:/].+$",
        description="address of the provider's description, it ends in /.well-known/openid-configuration",
    )
    oidc_client_id: str = Field("", description="what the provider calls this dashboard")
    oidc_client_secret: str = Field(
        "", repr=False, description="better by MAILWEIR_DASHBOARD__OIDC_CLIENT_SECRET than in the file"
    )
