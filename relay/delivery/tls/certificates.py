"""How we judge the certificates of others: TLS contexts for next hops and policy servers."""

import ssl
from pathlib import Path

from relay.settings import SettingsError


class Contexts:
    """Client contexts, TLS 1.2 or newer; one that verifies and one that does not, each made once."""

    def __init__(self, ca_file: Path | None) -> None:
        """ca_file: authorities trusted beside the system's. Raises SettingsError when it holds none."""
        self._ca_file = ca_file
        self._made: dict[bool, ssl.SSLContext] = {}
        if ca_file is not None:
            self.of(is_verified=True)

    def of(self, *, is_verified: bool) -> ssl.SSLContext:
        """Opportunistic TLS takes any certificate: the alternative is clear text (RFC 7435)."""
        context = self._made.get(is_verified)
        if context is None:
            context = self._made[is_verified] = self._verifying() if is_verified else _any()
        return context

    def verifying(self) -> ssl.SSLContext:
        """The one that verifies chain and name."""
        return self.of(is_verified=True)

    def _verifying(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.hostname_checks_common_name = False  # RFC 8461 sections 3.3, 4.1: alternative names only
        if self._ca_file is not None:
            try:
                context.load_verify_locations(self._ca_file)
            except OSError as error:  # ssl.SSLError is one
                why = getattr(error, "reason", None) or error.strerror or error
                raise SettingsError(
                    f"delivery.ca_file = {self._ca_file}: {why}. Give a PEM file with the authorities' certificates"
                ) from None
        return context


def _any() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
