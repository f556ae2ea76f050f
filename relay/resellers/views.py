"""What the control API says of resellers' brands, as typed values."""

from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from relay.resellers.brand import Brand


class ResellerChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PATCH /v1/resellers/{reseller}."""

    contact: str
    dry_run: bool = False


class BrandView(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/brand, of the asker's own reseller, and a part of BrandsView. "": the relay's own. `logo` is base64 in
    JSON. `reseller` "": nobody's."""

    reseller: str = ""
    version: int = 0
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
    author: str = ""
    set_at: datetime | None = None


def brand_of_view(view: BrandView) -> Brand:
    """The brand itself, as it was told."""
    return msgspec.convert(view, Brand, from_attributes=True)


class BrandsView(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/resellers/{reseller}/brand: what holds, and what held, youngest first, without the logos."""

    brand: BrandView
    versions: list[BrandView]


class BrandOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/resellers/{reseller}/brand: what is given changes, the rest stays; "" is the relay's own again."""

    name: str | UnsetType = UNSET
    colour: str | UnsetType = UNSET
    logo: bytes | UnsetType = UNSET
    reply_to: str | UnsetType = UNSET
    notice_text: str | UnsetType = UNSET
    web_host: str | UnsetType = UNSET
    release_host: str | UnsetType = UNSET
    bounce_host: str | UnsetType = UNSET
    dashboard_host: str | UnsetType = UNSET
    dry_run: bool = False


class BrandBack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/resellers/{reseller}/brand/back. `version` 0: none, as before the first."""

    version: int
    dry_run: bool = False


class BrandDone(msgspec.Struct, frozen=True, kw_only=True):
    """What a command made hold."""

    brand: BrandView
    undo: str = ""
    dry_run: bool = False
