"""The control API's call that forgets a person, as its client's method."""

from relay.control.accounts.calls import AccountCalls
from relay.privacy.views import ForgetOrder, Forgot


class PrivacyCalls(AccountCalls):
    """What ControlClient inherits."""

    def forget(self, order: ForgetOrder) -> Forgot:
        return self._post("/v1/forget", order, Forgot)
