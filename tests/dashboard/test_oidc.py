"""Sign-in through a real OpenID provider on loopback: discovery, code, client secret, nonce, RS256 id_token.

The provider is a program of its own (oidc-provider-mock, which is Authlib's server half); the dashboard registers with
it as a client does (RFC 7591). A browser walks the whole way.
"""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

import httpx2
import pytest

from relay.account import Account
from relay.control.accounts.views import NewReseller
from relay.control.client import ControlClient, ControlError
from relay.control.views import NewDecision
from relay.policy.decisions.decision import Effect
from relay.tree import Role
from relay.users.views import NewUser, SignIn, UserChange
from tests.builders import Installation, free_port, until
from tests.dashboard.conftest import SENDER
from tests.sink import Sink

sync_api = pytest.importorskip("playwright.sync_api")
if find_spec("oidc_provider_mock") is None or find_spec("authlib") is None:
    pytest.skip("no OpenID provider: pip install oidc-provider-mock authlib", allow_module_level=True)

_PEOPLE: tuple[dict[str, object], ...] = (
    {"sub": "1001", "email": "Dana@Desk.example", "email_verified": True},
    {"sub": "1002", "email": "vera@desk.example", "email_verified": True},
    {"sub": "1003", "email": "stranger@else.example", "email_verified": True},
    {"sub": "1004", "email": "admin@desk.example", "email_verified": False},
    {"sub": "1005", "name": "Nobody without an address"},
    {"sub": "1006", "email": "rita@north.example", "email_verified": True},
)


@dataclass
class Site:
    address: str
    relay: ControlClient
    installation: Installation


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    port = free_port()
    people = [word for one in _PEOPLE for word in ("--user-claims", json.dumps(one))]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port), *people]
    process = subprocess.Popen([*command, "--require-registration", "--require-nonce"], stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    until(lambda: _answers(f"{address}/.well-known/openid-configuration"), 60)
    yield address
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, provider: str) -> Iterator[Site]:
    installation, port = Installation(tmp_path_factory.mktemp("oidc")), free_port()
    with Sink() as sink:
        installation.write(sink.port, model="none")
        _register(installation, provider, port)
        installation.add_account(Account("acme", domains=("acme.example",)))
        with installation.running(), installation.client() as relay:
            _people(relay)
            process = installation.start("dashboard")
            built = Site(f"http://127.0.0.1:{port}", relay, installation)
            until(lambda: _answers(f"{built.address}/healthz"), 60)
            yield built
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def _register(installation: Installation, provider: str, port: int) -> None:
    """Make the dashboard known to the provider, and the provider to the dashboard."""
    wanted = {"redirect_uris": [f"http://127.0.0.1:{port}/oauth2callback"]}
    client = httpx2.post(f"{provider}/oauth2/clients", json=wanted, trust_env=False).raise_for_status().json()
    with installation.config.open("a") as file:
        file.write(
            f"""[dashboard]
listen = "127.0.0.1:{port}"
sign_in = "oidc"
oidc_discovery = "{provider}/.well-known/openid-configuration"
oidc_client_id = "{client["client_id"]}"
oidc_client_secret = "{client["client_secret"]}"
"""
        )


def _people(relay: ControlClient) -> None:
    relay.add_reseller(NewReseller(name="north"))
    relay.add_user(NewUser(name="dana@desk.example", role=Role.ABUSE, by_provider=True))
    relay.add_user(NewUser(name="vera@desk.example", role=Role.VIEWER, by_provider=True))
    relay.add_user(NewUser(name="admin@desk.example", role=Role.ADMIN, by_provider=True))
    relay.add_user(NewUser(name="rita@north.example", role=Role.ADMIN, reseller="north", by_provider=True))


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator["sync_api.Browser"]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(site: Site, browser: "sync_api.Browser") -> Iterator["sync_api.Page"]:
    """A page of a reader who has never been here."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, base_url=site.address)
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    context.close()


def _sign_in(page: "sync_api.Page", subject: str, path: str = "/") -> None:
    page.goto(path)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name=subject, exact=True).click()  # at the provider's
    page.wait_for_url(re.compile(r"^http://127\.0\.0\.1:\d+/(?!oauth2)"))


def test_a_person_of_the_provider_acts_under_his_name_where_he_wanted_to_go(site: Site, page: "sync_api.Page") -> None:
    decision = _hold(site)
    page.goto(f"/decisions?decision={decision}")
    assert page.get_by_role("heading", name=f"Decision {decision}").count() == 0
    _sign_in(page, "1001", f"/decisions?decision={decision}")

    page.get_by_role("heading", name=f"Decision {decision}").wait_for()
    _wait_for_name(page, "dana@desk.example, abuse of everything")  # written Dana@Desk.example there
    page.get_by_role("button", name=re.compile("^Not spam")).click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile(r"^Release\b")).click()
    until(lambda: ("decision.release", "dana@desk.example") in _audit(site), 20)

    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(re.compile("/oauth2/end_session"))  # the provider's own way out
    page.goto("/decisions")
    page.get_by_role("button", name="Sign in", exact=True).wait_for()


def test_a_viewer_sees_and_the_control_api_refuses_what_he_orders(site: Site, page: "sync_api.Page") -> None:
    decision = _hold(site)
    _sign_in(page, "1002")
    _wait_for_name(page, "vera@desk.example, viewer of everything")
    page.goto(f"/decisions?decision={decision}")
    page.get_by_role("heading", name=f"Decision {decision}").wait_for()
    assert page.get_by_role("button", name=re.compile("^Not spam")).count() == 0

    with _as(site, "vera@desk.example") as vera, pytest.raises(ControlError, match="abuse") as refused:
        vera.release_decision(decision)
    assert refused.value.status == 403
    assert ("decision.release", "vera@desk.example") not in _audit(site)


def test_a_reseller_s_person_sees_the_reseller_s_part(site: Site, page: "sync_api.Page") -> None:
    _sign_in(page, "1006")
    _wait_for_name(page, "rita@north.example, admin of north")


@pytest.mark.parametrize(
    ("subject", "because"),
    [
        ("1003", "nobody here is called"),
        ("1004", "not verified this address"),
        ("1005", "gives no e-mail address"),
    ],
)
def test_who_is_not_known_or_not_proven_sees_nothing(
    site: Site, page: "sync_api.Page", subject: str, because: str
) -> None:
    before = _audit(site)
    _sign_in(page, subject)
    page.get_by_text("cannot look here").wait_for()
    page.get_by_text(re.compile(because, re.IGNORECASE)).wait_for()
    assert page.get_by_role("heading", name="Now", exact=True).count() == 0
    assert before == _audit(site)


def test_a_disabled_person_is_out_though_the_provider_still_knows_him(site: Site, page: "sync_api.Page") -> None:
    _sign_in(page, "1002")
    _wait_for_name(page, "vera@desk.example, viewer of everything")
    site.relay.change_user("vera@desk.example", UserChange(is_disabled=True))
    try:
        until(lambda: _is_refused(page), 30)
    finally:
        site.relay.change_user("vera@desk.example", UserChange(is_disabled=False))


def test_a_password_opens_nothing_beside_the_provider(site: Site) -> None:
    site.relay.add_user(NewUser(name="paul", role=Role.ADMIN, password="correct horse 7"))
    answer = httpx2.post(
        f"{site.address}/signin", data={"name": "paul", "password": "correct horse 7"}, trust_env=False
    )
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert httpx2.get(f"{site.address}/signin", trust_env=False).headers["location"] == "/"


def _is_refused(page: "sync_api.Page") -> bool:
    page.goto("/system")
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    return page.get_by_text("cannot look here").count() == 1


def _wait_for_name(page: "sync_api.Page", words: str) -> None:
    """The page shows who looks; behind an @ stands a word joiner, so that no link is made of it."""
    page.get_by_text(re.compile(re.escape(words).replace("@", "@.?"))).wait_for()


def _hold(site: Site) -> str:
    new = NewDecision(account="acme", sender=SENDER, effect=Effect.HOLD, rule="manual", reason="too much at once")
    return site.relay.propose(new).decision.id


def _as(site: Site, mail: str) -> ControlClient:
    """The control API with a session as the dashboard begins one for somebody whom the provider has proven."""
    with site.installation.client("dashboard") as dashboard:
        token = dashboard.sign_in(SignIn(name=mail, by_provider=True)).token
    return ControlClient(f"http://127.0.0.1:{site.installation.control}", token)


def _audit(site: Site) -> set[tuple[str, str]]:
    return {(row.command, row.principal) for row in site.relay.audit()}


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False
