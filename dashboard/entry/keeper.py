"""Who may come in: what the relay says of users and sessions, remembered for a few seconds.

With users, everybody signs in: the cookie holds the session's token, which is the relay's; the pages and analytics
present it as the reader's own. Without users the pages act as `dashboard`, as they listen on loopback.
"""

import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from analytics.serving.sessions import Sessions
from relay.control.client import ControlClient, ControlError, base_url
from relay.front.web.login import Networks
from relay.resellers.brand import NO_BRAND, Brand
from relay.resellers.views import brand_of_view
from relay.settings import Settings
from relay.tree import Principal, Role, Scope
from relay.users.views import SignIn, Whoami

_log = logging.getLogger("mailweir.dashboard")

COOKIE = "mailweir_session"

_KNOWN_SECONDS = 5.0
_BRAND_SECONDS, _HOSTS = 15.0, 100
_TIMEOUT_SECONDS = 4.0
_SIGNED_IN = 2_000
_UNSIGNED = Principal("dashboard", Role.ABUSE)

_MARK = "dashboard.sign-in"  # a file of ours in the data folder: the relay said last that people sign in

_keepers: dict[tuple[str, str, str], "Keeper"] = {}
_making = threading.Lock()

Entry = Literal["open", "closed"]
Sign = tuple[str, str, int]  # one sign-in at the provider: whose, by which subject, when


@dataclass(frozen=True, slots=True)
class Reader:
    """Who looks at the pages. `token` "": the dashboard itself, with its own token."""

    principal: Principal
    token: str = ""

    @property
    def sees_everything(self) -> bool:
        return self.principal.scope == Scope()

    def may(self, role: Role) -> bool:
        """Tell whether the reader has at least this role. The relay decides all the same."""
        return self.principal.role.includes(role)


class Keeper:
    """Answers from the web server's loop, in threads, and from the pages' threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._url = settings, base_url(settings.control.listen)
        self.sessions = Sessions(lambda token: ControlClient(self._url, token, timeout_seconds=_TIMEOUT_SECONDS))
        self._lock = threading.Lock()
        self._asked_at, self._mark = float("-inf"), settings.dir / _MARK
        self._brands: dict[str, tuple[float, Brand]] = {}
        self._entry: Entry = "closed" if self._mark.exists() else "open"
        self._of_provider: OrderedDict[Sign, str] = OrderedDict()

    @property
    def proxies(self) -> Networks:
        """Whose word on a reader's address is believed."""
        return self._settings.web.trusted_proxies

    @property
    def session_lasts(self) -> timedelta:
        return timedelta(hours=self._settings.dashboard.session_hours)

    @property
    def is_oidc(self) -> bool:
        return self._settings.dashboard.sign_in == "oidc"

    def entry(self) -> Entry:
        """open: nobody has to sign in. While the relay does not answer, what it said last, of an earlier run too."""
        if self._settings.dashboard.sign_in == "none":
            return "open"
        with self._lock:
            if time.monotonic() - self._asked_at >= _KNOWN_SECONDS:
                self._asked_at = time.monotonic()
                self._note(self._asked())
            return self._entry

    def reader_of(self, token: str) -> Reader | None:
        """The reader with this token in his cookie; None: he has to sign in."""
        principal = self.sessions.principal_of(token) if token else None
        if principal is not None:
            return Reader(principal, token)
        return Reader(_UNSIGNED) if self.entry() == "open" else None

    def sign_in(self, order: SignIn) -> Whoami:
        """Begin a session. Raises ControlError with words for the reader."""
        with self._as_dashboard() as relay:
            return relay.sign_in(order)

    def reader_by_provider(self, sign: Sign, order: SignIn) -> Reader:
        """The reader whom the identity provider has signed in; one session for all pages that he opens.

        Raises ControlError with words for the reader, when the relay knows nobody of that name.
        """
        known = self.reader_of(self._of_provider.get(sign, ""))
        if known is not None and known.token:
            return known
        who = self.sign_in(order)
        with self._lock:
            self._of_provider[sign] = who.token
            while len(self._of_provider) > _SIGNED_IN:
                self._of_provider.popitem(last=False)
        return Reader(Principal(who.name, who.role, Scope(who.reseller or None, who.account or None)), who.token)

    def brand_of(self, host: str) -> Brand:
        """In whose brand somebody is asked to sign in who came to this host; the relay's own while it does not answer.

        Asked for all hosts alike and remembered a while: anybody may open the page as often as he likes.
        """
        host = host.lower().partition(":")[0]
        with self._lock:
            asked_at, known = self._brands.get(host, (float("-inf"), NO_BRAND))
            if not host or time.monotonic() - asked_at < _BRAND_SECONDS:
                return known
            if len(self._brands) >= _HOSTS:
                self._brands.clear()
            self._brands[host] = (time.monotonic(), known)  # the others need not ask too
        try:
            with self._as_dashboard() as relay:
                known = brand_of_view(relay.brand_of_host(host))
        except (ControlError, OSError):
            return known
        with self._lock:
            self._brands[host] = (time.monotonic(), known)
        return known

    def sign_out(self, token: str) -> None:
        """End a session; one that is over already needs nothing."""
        try:
            with ControlClient(self._url, token, timeout_seconds=_TIMEOUT_SECONDS) as relay:
                relay.sign_out()
        except ControlError:
            pass
        self.sessions.forget(token)

    def _asked(self) -> Entry:
        try:
            with self._as_dashboard() as relay:
                return "closed" if relay.must_sign_in() else "open"
        except (ControlError, OSError):
            return self._entry

    def _note(self, entry: Entry) -> None:
        if entry == self._entry:
            return
        self._entry = entry
        try:
            if entry == "closed":
                self._mark.touch(mode=0o600)
            else:
                self._mark.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("cannot remember who signs in file=%s error=%s", self._mark, error)

    def _as_dashboard(self) -> ControlClient:
        return ControlClient.of(self._settings, "dashboard", timeout_seconds=_TIMEOUT_SECONDS)


def keeper_of(settings: Settings) -> Keeper:
    """The one keeper of an installation in this process."""
    with _making:
        key = (str(settings.dir), settings.control.listen, settings.dashboard.sign_in)
        return _keepers.setdefault(key, Keeper(settings))
