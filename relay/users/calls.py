"""The control API's calls for users and sessions, as its client's methods."""

import msgspec

from relay.control.accounts.calls import AccountCalls, quoted
from relay.users.views import NewUser, SignIn, TokenOrder, UserChange, UsersKnown, UserToken, UserView, Whoami


class UserCalls(AccountCalls):
    """What ControlClient inherits; each call is one request."""

    def whoami(self) -> Whoami:
        return self._get("/v1/whoami", Whoami)

    def must_sign_in(self) -> bool:
        """Tell whether the dashboard's readers have to sign in."""
        return self._get("/v1/sessions", UsersKnown).must_sign_in

    def sign_in(self, order: SignIn) -> Whoami:
        return self._post("/v1/sessions", order, Whoami)

    def sign_out(self) -> Whoami:
        return self._ask("DELETE", "/v1/sessions", Whoami)

    def users(self) -> list[UserView]:
        return self._get("/v1/users", list[UserView])

    def add_user(self, new: NewUser) -> UserView:
        return self._post("/v1/users", new, UserView)

    def change_user(self, name: str, change: UserChange) -> UserView:
        return self._ask("PATCH", f"/v1/users/{quoted(name)}", UserView, body=msgspec.json.encode(change))

    def make_token(self, name: str, order: TokenOrder) -> UserToken:
        return self._post(f"/v1/users/{quoted(name)}/token", order, UserToken)

    def remove_user(self, name: str, *, dry_run: bool = False) -> UserView:
        query = {"dry_run": "1"} if dry_run else {}
        return self._ask("DELETE", f"/v1/users/{quoted(name)}", UserView, query=query)
