"""The control API's calls for resellers and their brands, as its client's methods."""

import msgspec

from relay.control.accounts.calls import AccountCalls, quoted
from relay.control.accounts.views import Order, ResellerView
from relay.resellers.views import BrandBack, BrandDone, BrandOrder, BrandsView, BrandView, ResellerChange

_PLAINLY = Order()


class ResellerCalls(AccountCalls):
    """What ControlClient inherits; each call is one request."""

    def reseller(self, name: str) -> ResellerView:
        return self._get(_path(name), ResellerView)

    def change_reseller(self, name: str, change: ResellerChange) -> ResellerView:
        return self._ask("PATCH", _path(name), ResellerView, body=msgspec.json.encode(change))

    def remove_reseller(self, name: str, order: Order = _PLAINLY) -> ResellerView:
        return self._post(f"{_path(name)}/remove", order, ResellerView)

    def restore_reseller(self, name: str, order: Order = _PLAINLY) -> ResellerView:
        return self._post(f"{_path(name)}/restore", order, ResellerView)

    def brand(self, reseller: str) -> BrandsView:
        """What holds, and the earlier versions."""
        return self._get(f"{_path(reseller)}/brand", BrandsView)

    def set_brand(self, reseller: str, order: BrandOrder) -> BrandDone:
        return self._post(f"{_path(reseller)}/brand", order, BrandDone)

    def brand_back(self, reseller: str, order: BrandBack) -> BrandDone:
        return self._post(f"{_path(reseller)}/brand/back", order, BrandDone)

    def own_brand(self) -> BrandView:
        """The brand under which the asker sees this relay."""
        return self._get("/v1/brand", BrandView)

    def brand_of_host(self, host: str) -> BrandView:
        return self._get(f"/v1/brand/of-host/{quoted(host)}", BrandView)


def _path(reseller: str) -> str:
    return f"/v1/resellers/{quoted(reseller)}"
