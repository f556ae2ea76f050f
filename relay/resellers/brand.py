"""How a reseller's customers see this relay: name, logo, colour, words, hosts; and whose brand holds for whom.

Pure. What a brand says has been checked when it was set (checked.py); who shows it escapes it all the same.
"""

import base64
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from relay.account import Account

SVG, PNG = "image/svg+xml", "image/png"


@dataclass(frozen=True, slots=True)
class Brand:
    """Each part "" (logo: empty) where the relay's own holds.

    `colour` like #0b57d0. `reply_to`: whom customers write to. `notice_text`: paragraphs at the end of each notice.
    `web_host` stands in unsubscribe links, `release_host` in release links, `bounce_host` in customers' return-path
    records; at `dashboard_host` the sign-in page has this brand.
    """

    name: str = ""
    colour: str = ""
    logo: bytes = b""
    logo_type: str = ""
    reply_to: str = ""
    notice_text: str = ""
    web_host: str = ""
    release_host: str = ""
    bounce_host: str = ""
    dashboard_host: str = ""

    @property
    def logo_uri(self) -> str:
        """The logo as a data: URI, for an <img>: as an image it runs nothing and loads nothing; "" without one."""
        return f"data:{self.logo_type};base64,{base64.b64encode(self.logo).decode()}" if self.logo else ""

    @property
    def hosts(self) -> tuple[str, ...]:
        named = (self.web_host, self.release_host, self.bounce_host, self.dashboard_host)
        return tuple(dict.fromkeys(host for host in named if host))


@dataclass(frozen=True, slots=True)
class BrandVersion:
    """A brand as it was once set; the youngest of a reseller holds."""

    reseller: str
    version: int
    brand: Brand
    author: str
    set_at: datetime


NO_BRAND = Brand()


def ink_on(colour: str) -> str:
    """Black or white, whichever is read better on a colour like #0b57d0 (WCAG 2.1, relative luminance).

    >>> ink_on("#0b57d0"), ink_on("#ffd400")
    ('#fff', '#000')
    """
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#fff" if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.05 else "#000"


class Brands:
    """Whose brand holds. `in_force`: by reseller, of those that were removed (`former`) too, whose hosts are free;
    changes under us, and lookups cost a dictionary's."""

    def __init__(
        self, in_force: Mapping[str, Brand], accounts: Mapping[str, Account], former: Container[str] = ()
    ) -> None:
        self._in_force, self._accounts, self._former = in_force, accounts, former

    def of_reseller(self, reseller: str) -> Brand:
        return self._in_force.get(reseller, NO_BRAND) if reseller else NO_BRAND

    def of_account(self, name: str) -> Brand:
        account = self._accounts.get(name)
        return NO_BRAND if account is None else self.of_reseller(account.reseller)

    def web_base(self, account: str, public_url: str) -> str:
        """Where unsubscribe links of an account's mail begin; "": nothing of ours is public."""
        host = self.of_account(account).web_host
        return _base(host, public_url)

    def release_base(self, account: str, public_url: str) -> str:
        """Where release links of an account begin; "": nothing of ours is public."""
        brand = self.of_account(account)
        return _base(brand.release_host or brand.web_host, public_url)

    def of_host(self, host: str) -> Brand:
        """The brand whose host a browser asked for, its port left out."""
        return self.of_reseller(self.reseller_of_host(host))

    def reseller_of_host(self, host: str) -> str:
        """Whose host it is; "" when it is in no brand."""
        asked = host.lower().partition(":")[0]  # an IPv6 literal is no brand's
        return next(
            (name for name, brand in self._in_force.items() if asked in brand.hosts and self._is_here(name)), ""
        )

    def also_in(self, reseller: str, hosts: Iterable[str]) -> tuple[str, str] | None:
        """One of these hosts that another reseller's brand has, and whose; None: they are free."""
        for name, brand in self._in_force.items():
            if name != reseller and self._is_here(name) and (taken := {*hosts} & {*brand.hosts}):
                return min(taken), name
        return None

    def _is_here(self, reseller: str) -> bool:
        return reseller not in self._former


NO_BRANDS = Brands({}, {})


def _base(host: str, public_url: str) -> str:
    # a browser must not be told to come in clear text; the operator's proxy ends TLS for these names too
    return f"https://{host}" if host and public_url else public_url.rstrip("/")
