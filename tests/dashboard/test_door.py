"""The door of the dashboard, as a process of its own before a real relay: who comes in, and as whom."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest

from relay.account import Account
from relay.control.accounts.views import NewReseller
from relay.control.client import ControlClient
from relay.resellers.views import BrandOrder
from relay.tree import Role
from relay.users.views import NewUser, UserChange
from tests.builders import Installation, free_port, until
from tests.sink import Sink

PASSWORD = "correct horse battery"
HTML = {"accept": "text/html,*/*"}


@dataclass
class Site:
    """A dashboard, and an admin of its relay."""

    address: str
    admin: ControlClient

    def browser(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.address, headers=HTML, timeout=30, verify=False, trust_env=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    installation, port = Installation(tmp_path_factory.mktemp("site")), free_port()
    with Sink() as sink:
        installation.write(sink.port, model="none")
        settings = installation.config.read_text()
        installation.config.write_text(settings.replace("[web]\n", '[web]\ntrusted_proxies = ["127.0.0.1/32"]\n'))
        with installation.config.open("a") as file:
            file.write(f'[dashboard]\nlisten = "127.0.0.1:{port}"\n')
        installation.add_account(Account("acme"))
        with installation.running(), installation.client() as admin:
            process = installation.start("dashboard")
            built = Site(f"http://127.0.0.1:{port}", admin)
            until(lambda: _is_up(built), 60)
            yield built
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


@pytest.fixture(scope="module")
def dana(site: Site) -> str:
    _add(site, "dana")
    until(lambda: _status(site, "/") == 303, 30)
    return "dana"


def test_without_users_everybody_comes_in(site: Site, dana: str) -> None:
    site.admin.remove_user(dana)
    until(lambda: _status(site, "/") == 200, 30)
    with site.browser() as browser:
        assert browser.get("/signin").headers["location"] == "/"
    _add(site, dana)
    until(lambda: _status(site, "/") == 303, 30)


def test_a_user_signs_in_comes_back_to_his_page_and_signs_out(site: Site, dana: str) -> None:
    with site.browser() as browser:
        sent = browser.get("/sender?sender=a%7Cb%7Cc")
        assert sent.headers["location"] == "/signin?next=/sender%3Fsender%3Da%257Cb%257Cc"
        assert "Sign in" in browser.get(sent.headers["location"]).text

        came = browser.post("/signin", data={"name": dana, "password": PASSWORD, "next": "/sender?sender=a%7Cb%7Cc"})
        assert (came.status_code, came.headers["location"]) == (303, "/sender?sender=a%7Cb%7Cc")
        cookie = came.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert browser.get("/").status_code == 200

        kept = browser.cookies["mailweir_session"]
        browser.get("/signout")
        browser.cookies.set("mailweir_session", kept)
        assert browser.get("/").status_code == 303


def test_nothing_of_the_pages_is_served_to_nobody(site: Site, dana: str) -> None:
    with site.browser() as browser:
        for path in ("/", "/decisions", "/_stcore/host-config", "/media/x", "/component/x"):
            assert browser.get(path).status_code == 303
        answer = browser.get("/_stcore/stream", headers={"accept": "*/*"})
        assert answer.status_code == 401
        assert browser.get("/healthz").status_code == 200
        upgrade = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        assert browser.get("/_stcore/stream", headers=upgrade).status_code == 403


@pytest.mark.parametrize("target", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:x", ""])
def test_nobody_is_sent_to_another_site(site: Site, dana: str, target: str) -> None:
    with site.browser() as browser:
        came = browser.post("/signin", data={"name": dana, "password": PASSWORD, "next": target})
        assert came.headers["location"] == "/"


def test_a_wrong_password_and_a_form_of_another_site_are_refused(site: Site, dana: str) -> None:
    with site.browser() as browser:
        wrong = browser.post("/signin", data={"name": '"><script>', "password": "no"})
        assert wrong.status_code == 401
        assert "do not fit" in wrong.text
        assert "<script>" not in wrong.text
        for origin in ("https://evil.example", "null"):
            foreign = browser.post("/signin", data={"name": dana, "password": PASSWORD}, headers={"origin": origin})
            assert foreign.status_code == 403


def test_readers_behind_a_trusted_proxy_are_told_apart(site: Site, dana: str) -> None:
    guess, right = {"name": dana, "password": "no"}, {"name": dana, "password": PASSWORD}
    with site.browser() as browser:
        for _ in range(10):
            browser.post("/signin", data=guess, headers={"x-forwarded-for": "192.0.2.1, 198.51.100.7"})

        locked = browser.post("/signin", data=right, headers={"x-forwarded-for": "198.51.100.7"})
        assert (locked.status_code, "too many failed" in locked.text.lower()) == (401, True)
        other = browser.post("/signin", data=right, headers={"x-forwarded-for": "198.51.100.7, 198.51.100.8"})
        assert other.status_code == 303


@pytest.mark.usefixtures("dana")  # with nobody left to sign in, everybody comes in
def test_a_disabled_user_is_out_within_the_cache_s_time(site: Site) -> None:
    _add(site, "eve")
    with site.browser() as browser:
        browser.post("/signin", data={"name": "eve", "password": PASSWORD})
        assert browser.get("/").status_code == 200
        site.admin.change_user("eve", UserChange(is_disabled=True))
        until(lambda: browser.get("/").status_code == 303, 30)
    site.admin.remove_user("eve")


def _add(site: Site, name: str) -> None:
    site.admin.add_user(NewUser(name=name, role=Role.ABUSE, password=PASSWORD))


def _status(site: Site, path: str) -> int:
    with site.browser() as browser:
        return browser.get(path).status_code


def _is_up(site: Site) -> bool:
    try:
        return _status(site, "/healthz") == 200
    except httpx2.HTTPError:
        return False


def test_a_reseller_s_host_asks_in_its_brand_and_other_hosts_in_ours(site: Site, dana: str) -> None:
    site.admin.add_reseller(NewReseller(name="north"))
    logo = b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>'
    host = "panel.north.example"
    site.admin.set_brand("north", BrandOrder(name="Nörd", colour="#ffd400", logo=logo, dashboard_host=host))

    with site.browser() as browser:
        theirs = browser.get("/signin", headers={"host": host})
        ours = browser.get("/signin", headers={"host": "elsewhere.example"})

    assert "<title>Nörd: sign in</title>" in theirs.text
    assert 'src="data:image/svg+xml;base64,' in theirs.text
    assert "background: #ffd400; color: #000;" in theirs.text
    assert theirs.headers["content-security-policy"].startswith("default-src 'none';")
    assert "script" not in theirs.text
    assert "mailweir" not in theirs.text.lower()
    assert "Ask Nörd." in theirs.text
    assert "<h1>Mailweir</h1>" in ours.text
    assert "<img" not in ours.text
