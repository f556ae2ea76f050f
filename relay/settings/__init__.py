"""Every setting: its key, default, unit and reason. Read at start and at reload from mailweir.toml and MAILWEIR_*.

A wrong key or value is an error at start that names key, value and fix.
"""

import os
import tomllib
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from relay.settings.delivery import Delivery
from relay.settings.errors import explain
from relay.settings.sections import (
    Analytics,
    Checkers,
    Control,
    Dashboard,
    Dnsbl,
    Headers,
    Imap,
    Inbox,
    Notices,
    Places,
    Sandbox,
    Section,
    Suppression,
    Verp,
    Web,
    Webhooks,
)

__all__ = [
    "Analytics",
    "Control",
    "Dashboard",
    "Delivery",
    "Dnsbl",
    "Headers",
    "Imap",
    "Inbox",
    "Notices",
    "Places",
    "Sandbox",
    "Suppression",
    "Verp",
    "Web",
    "Webhooks",
]  # beside all that is defined here


SYSTEM_FILE = Path("/etc/mailweir/mailweir.toml")


class SettingsError(Exception):
    """A setting is unknown or wrong; the text names key, value and fix."""


# Larger networks are whole providers: who lets them in, or believes where they say a client comes from, runs an open
# relay. /8 is the largest private block.
SHORTEST_PREFIX = {4: 8, 6: 32}


class Node(Section):
    """This relay node."""

    name: str = Field("mw1", pattern=r"^[a-z0-9]{1,16}$", description="stands in every record and message id")
    hostname: str = Field("mailweir.localhost", description="EHLO name, Received and Message-ID")
    abuse_contact: str = Field(
        "",
        pattern=r"^$|^[!#-;=?-~]{1,64}@[A-Za-z0-9.-]{1,255}$",
        description="address of your abuse desk: is told of decisions, and customers write to it; "
        "empty: the desk is told nothing, customers write to postmaster@hostname",
    )


class Smtp(Section):
    """The doors for senders. Any number of addresses each; [::1]:2525 is an IPv6 one."""

    listen: list[str] = Field(["127.0.0.1:2525"], description="plain SMTP with STARTTLS")
    submission: list[str] = Field(["127.0.0.1:2587"], description="submission with STARTTLS")
    tls_listen: list[str] = Field(["127.0.0.1:2465"], description="submission in TLS from the first byte (RFC 8314)")
    clear_auth_listen: list[str] = Field([], description="like listen, but AUTH may come in clear text from anywhere")
    inbox_listen: list[str] = Field(
        ["127.0.0.1:2526"],
        description="takes bounces to our own return paths, reports, mail about abuse; empty: no such listener",
    )
    tls_certificate: Path | None = Field(None, description="PEM chain; a self-signed one is made when not given")
    tls_key: Path | None = Field(None, description="PEM key of tls_certificate")
    auth_without_tls: bool = Field(True, description="take AUTH in clear text from clients on loopback, from no others")
    proxy_from: list[IPv4Network | IPv6Network] = Field(
        [], description="balancers that say the client's address in a PROXY header (v1 or v2); all others may not"
    )
    xclient_from: list[IPv4Network | IPv6Network] = Field(
        [], description="balancers that may say address, HELO and login of their client by XCLIENT"
    )
    max_size_bytes: int = Field(26_214_400, ge=65_536, le=209_715_200, description="larger messages: 552 5.3.4")
    max_recipients: int = Field(100, ge=100, le=10_000, description="per message; more: 452 4.5.3")
    max_connections_per_address: int = Field(100, ge=1, description="beyond: 421 4.7.0")
    connections_per_minute: int = Field(6000, ge=1, description="new ones of an address; beyond: 421 4.7.0")
    errors_per_minute: int = Field(
        60, ge=1, description="of an address, in commands or as a stranger; beyond: 421 and closed"
    )
    timeout_seconds: float = Field(300, ge=1, description="per command (RFC 5321 4.5.3.2.7)")
    min_bytes_per_second: int = Field(100, ge=0, description="slower in DATA, over timeout_seconds: 421 4.4.2")
    stop_seconds: float = Field(10, ge=0, description="running transactions may finish within, at SIGTERM")

    @field_validator("proxy_from", "xclient_from")
    @classmethod
    def _narrow(cls, networks: list[IPv4Network | IPv6Network]) -> list[IPv4Network | IPv6Network]:
        for network in networks:
            shortest = SHORTEST_PREFIX[network.version]
            if network.prefixlen < shortest:
                raise ValueError(f"{network} would make this an open relay; at most a /{shortest} can be believed")
        return networks


class Limits(Section):
    """Limits of each end sender (spec 2.3), 0: none; senders, domains, accounts and resellers may carry their own."""

    rcpts_per_hour: int = Field(200, ge=0, description="recipients per end sender in any 60 minutes; 0: no limit")
    rcpts_per_day: int = Field(1000, ge=0, description="recipients per end sender in any 24 hours; 0: no limit")
    unique_rcpts_per_hour: int = Field(
        500, ge=0, description="different recipients per end sender in any 60 minutes; 0: no limit"
    )
    new_unique_rcpts_per_hour: int = Field(
        100, ge=0, description="the same in a sender's first 24 hours, when a list of strangers is most likely stolen"
    )
    messages_per_hour: int = Field(0, ge=0, description="messages per end sender in any 60 minutes; 0: no limit")
    newcomer_rcpts_per_hour: int = Field(
        200,
        ge=0,
        description="recipients of all end senders of an account that are younger than 24 hours, together; 0: no limit",
    )
    onboarding_factor: float = Field(
        20, ge=1, description="times newcomer_rcpts_per_hour in an account's first 24 hours, when all are new"
    )


class Content(Section):
    """The content stage."""

    model: str = Field("shipped", description="name of a folder in data/models, or a path; 'none': no scoring")
    rules: str = Field(
        "",
        description="TOML of your own over rules/content.toml: certain rules beside the model; 'none': no rules at all",
    )
    keep_words: bool = Field(
        True, description="keep hashes of each message's words, for analytics to retrain the model with; never the text"
    )
    workers: int = Field(0, ge=0, le=64, description="0: one per core")
    timeout_seconds: float = Field(1.5, gt=0, description="one message may take in a worker")


class Identity(Section):
    """Mail of shared hosts that names no end user: it shares one key, which its operator should know."""

    unnamed_alarm: int = Field(20, ge=1, description="an alarm from so many messages without an end user in an hour on")
    unnamed_share: float = Field(0.05, ge=0, lt=1, description="if they are more than this share of the account's mail")


class Lockdown(Section):
    """Domain owners' TXT records that say who may send with their domain (spec 2.2)."""

    mode: Literal["auto", "on", "off"] = Field(
        "auto", description="obey TXT records that name who may use a domain; auto: where delivery.mode is direct"
    )
    labels: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}$")]] = Field(
        ["_mailweir", "_mailchannels"], description="such a record stands at label.domain"
    )


class Log(Section):
    """The log on standard error; what stops or holds mail is always in it."""

    messages: bool = Field(False, description="also a line for each message accepted, delivered or deferred")


class Policy(Section):
    """The lines of the verdict (spec 2.4, 2.6). A policy applied by `mailweir policy apply` wins over this table."""

    suspect_score: float = Field(0.5, ge=0, le=1, description="from here on a message counts as half a spam")
    hold_score: float = Field(0.9, ge=0, le=1, description="from here on a message is held")
    reject_score: float = Field(0.99, ge=0, le=1, description="from here on it is refused, or held for a known sender")
    known_after: int = Field(1000, ge=0, description="messages of history that make a sender known")
    spam_line: float = Field(0.2, gt=0, lt=1, description="pause when the true spam rate is surely above")
    burst_line: float = Field(12.0, gt=0, description="sum of log odds that is a burst of spam: five sure ones")
    stranger_line: float = Field(
        0.5, gt=0, lt=1, description="throttle when the share of recipients never written to before is surely above"
    )
    failed_line: float = Field(
        0.5, gt=0, lt=1, description="throttle when the share of recipients failed or put off is surely above"
    )
    null_line: int = Field(
        200, ge=1, description="hold at so many recipients of mail from <> in an hour, if ten times the usual"
    )
    login_networks: int = Field(
        10,
        ge=2,
        description="throttle when a login is used from so many new networks in 24 h, if three times the usual",
    )
    same_text_senders: int = Field(
        8, ge=2, description="hold new senders when so many of them, and nobody else, send one suspect text in an hour"
    )
    certainty: float = Field(0.99, gt=0.5, lt=1, description="how sure")
    warn_certainty: float = Field(0.9, gt=0.5, lt=1, description="how sure of a warn line a sender is watched")
    hold_minutes: int = Field(24 * 60, ge=1, description="an automatic hold ends by itself after")
    block_minutes: int = Field(60, ge=1, description="a temporary block ends by itself after")
    throttle_minutes: int = Field(6 * 60, ge=1, description="an automatic throttle ends by itself after")
    throttle_factor: float = Field(0.25, gt=0, le=1, description="of its limits is what a throttled sender keeps")
    watch_minutes: int = Field(24 * 60, ge=1, description="a warning ends by itself after")
    blocks_until_suspended: int = Field(
        3, ge=1, description="the so many-th temporary block in 7 days suspends the sender until a person releases it"
    )
    clean_messages: int = Field(
        20, ge=1, description="so many messages within an hour, none of them spam, end an automatic hold early"
    )
    spam_warn_line: float = Field(0.05, gt=0, lt=1, description="a hold ends early when the rate is probably below")
    climb_senders: int = Field(3, ge=2, description="senders stopped in an hour hold their account's new senders too")
    self_release: bool = Field(
        True, description="an account's contact may release a sender by the link in its notice (docs/notices.md)"
    )
    hold_days: float = Field(7, gt=0, le=60, description="held mail is dropped, its account told before, after")


class Route(Section):
    """Mail for `domain`, of `account`, or both, goes to host:port, whatever DNS says; the most special one wins."""

    domain: str = Field("", description="recipients' domain; empty: all mail of `account`")
    account: str = Field("", description="the route is for mail of this account only, and wins over a domain's")
    host: str = Field("", description="next hop; empty with mode direct only")
    port: int = Field(25, ge=1, le=65_535)
    provider: str = Field("", description="destination name shown; default the domain, else the host")
    mode: Literal["direct", "smarthost", "sink"] = Field(
        "direct",
        description="direct: the hop, or without one the MX of each domain; smarthost: with login; sink: no TLS",
    )
    user: str = Field("", description="login at the hop")
    password: str = Field("", repr=False, description="its password")
    tls: Literal["", "opportunistic", "required", "verified", "none"] = Field("", description="default: delivery.tls")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not (self.domain or self.account):
            raise ValueError("a route needs a domain, an account or both")
        if not self.host and (self.mode != "direct" or self.user):
            raise ValueError(f"a route with mode {self.mode!r} needs a host")
        return self


class Dkim(Section):
    """The relay's own signature, and what stands in the records of customers' domains."""

    domain: str = Field("", description="d=; empty: nothing is signed with the relay's key")
    selector: str = Field("mw1", description="s=")
    key: Path | None = Field(None, description="PEM, RSA-2048; made at first start when not given")
    spf_include: str = Field(
        "", description="name with your SPF record, which customers include; empty: they list our addresses"
    )


class Settings(BaseSettings):
    """All of them. `dir` is the folder for everything written at run time."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix="MAILWEIR_", env_nested_delimiter="__")

    dir: Path = Field(Path("data/run/default"), description="spool, state, journal, warehouse, tokens")
    demo: bool = Field(False, description="marks every record and page as demo data")
    node: Node = Node()
    smtp: Smtp = Smtp()
    limits: Limits = Limits()
    content: Content = Content()
    identity: Identity = Identity()
    places: Places = Places()
    lockdown: Lockdown = Lockdown()
    policy: Policy = Policy()
    log: Log = Log()
    delivery: Delivery = Delivery()
    route: list[Route] = []
    dkim: Dkim = Dkim()
    verp: Verp = Verp()
    inbox: Inbox = Inbox()
    suppression: Suppression = Suppression()
    sandbox: Sandbox = Sandbox()
    imap: Imap = Imap()
    headers: Headers = Headers()
    web: Web = Web()
    control: Control = Control()
    analytics: Analytics = Analytics()
    checkers: Checkers = Checkers()
    dnsbl: Dnsbl = Dnsbl()
    dashboard: Dashboard = Dashboard()
    notices: Notices = Notices()
    webhooks: Webhooks = Webhooks()

    @model_validator(mode="after")
    def _signed(self) -> Self:
        address = self.headers.cfbl_address
        if address and address.rpartition("@")[2].lower() != self.dkim.domain.lower():  # RFC 9477 3.1
            raise ValueError(
                f"headers.cfbl_address = {address!r} must lie in dkim.domain = {self.dkim.domain!r}:"
                " providers believe it by a signature of that domain only"
            )
        return self

    @field_validator("dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings

    @property
    def is_lockdown_on(self) -> bool:
        """Whether DNS is asked about lockdown; without DNS nothing could be delivered directly either."""
        return self.lockdown.mode == "on" or (self.lockdown.mode == "auto" and self.delivery.mode == "direct")

    @property
    def journal_dir(self) -> Path:
        return self.dir / "journal"

    @property
    def tokens_dir(self) -> Path:
        return self.dir / "tokens"


def load(path: Path | None = None) -> Settings:
    """Read settings from `path`, else $MAILWEIR_CONFIG, else ./mailweir.toml or SYSTEM_FILE if there, else defaults.

    MAILWEIR_SECTION__KEY variables win over the file. Raises SettingsError.
    """
    chosen = settings_file(path)
    values = _read(chosen) if chosen else {}
    environment = {name for name in os.environ if name.startswith("MAILWEIR_") and "__" in name}
    for name in environment:
        section, key = name.removeprefix("MAILWEIR_").lower().split("__", 1)
        values.get(section, {}).pop(key, None) if isinstance(values.get(section), dict) else None
    if "MAILWEIR_DIR" in os.environ:
        values.pop("dir", None)
    try:
        return Settings(**values)
    except ValidationError as error:
        raise SettingsError(explain(error, chosen, Settings)) from None


def settings_file(path: Path | None = None) -> Path | None:
    """The file that load() reads; None: there is none."""
    if path:
        return path
    if named := os.environ.get("MAILWEIR_CONFIG"):
        return Path(named)
    there = (file for file in (Path("mailweir.toml"), SYSTEM_FILE) if os.path.exists(file))  # False in a closed folder
    return next(there, None)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such file. Make one with: mailweir init") from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None


def split_listen(value: str) -> tuple[str, int]:
    """Split "host:port" or "[v6]:port"; raises SettingsError.

    >>> split_listen("[::1]:2525")
    ('::1', 2525)
    """
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise SettingsError(f"{value!r} is not an address to listen on; write host:port, like 127.0.0.1:2525")
    return host.strip("[]"), int(port)
