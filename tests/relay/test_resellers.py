"""Resellers: their own life, their brand in versions, and what a logo may be."""

import asyncio
import struct
import zlib
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette

from relay.account import Account
from relay.clock import SteppedClock
from relay.control.accounts.views import LimitOrder, NewAccount, NewReseller, Order
from relay.control.audit.chain import Act
from relay.control.errors import Conflict, Invalid
from relay.control.state.database import default_url
from relay.control.state.memory import State
from relay.delivery.verp import Key
from relay.domains.keys import Domain
from relay.front.web.page import page
from relay.front.web.unsubscribe import UnsubscribePages
from relay.notices.mail import Heading, Item, notice_mail
from relay.policy.limits.levels import Level
from relay.resellers.book import KEPT
from relay.resellers.brand import NO_BRAND, PNG, SVG, Brand, Brands, ink_on
from relay.resellers.checked import checked_brand
from relay.resellers.logo import LOGO_BYTES, checked_logo
from relay.resellers.views import BrandBack, BrandOrder, BrandView, ResellerChange
from relay.returns.feedback import Wish
from relay.returns.paths import ReturnPaths
from relay.settings import Settings, Smtp, Verp
from relay.spool.notices import Audience, Bundle, Group
from tests.builders import ADMIN
from tests.relay.test_control_api import START, Room, with_room

SVG_LOGO = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9z" fill="#0b57d0"/></svg>'


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int = 2, height: int = 2, *more: bytes, pixels: bytes | None = None, interlace: int = 0) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlace)
    raw = b"".join(b"\0" + b"\x11\x22\x33" * width for _ in range(height)) if pixels is None else pixels
    body = chunk(b"IHDR", head) + b"".join(more) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_plain_logos_are_taken() -> None:
    assert checked_logo(png()) == PNG
    assert checked_logo(SVG_LOGO) == SVG
    assert checked_logo(b'<?xml version="1.0" encoding="UTF-8"?>\n' + SVG_LOGO) == SVG


def _svg(inside: str, attributes: str = "") -> bytes:
    return f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{inside}</svg>'.encode()


@pytest.mark.parametrize(
    "content",
    [
        _svg("<script>alert(1)</script>"),
        _svg("<path d='M0 0'/>", 'onload="alert(1)"'),
        _svg("<a href='javascript:alert(1)'><path d='M0 0'/></a>"),
        _svg("<image href='https://evil.example/x.png'/>"),
        _svg("<use href='https://evil.example/x.svg#y'/>"),
        _svg("<use xlink:href='data:image/svg+xml,x'/>", 'xmlns:xlink="http://www.w3.org/1999/xlink"'),
        _svg("<foreignObject><body xmlns='http://www.w3.org/1999/xhtml'><script/></body></foreignObject>"),
        _svg("<style>@import url(https://evil.example/x.css)</style>"),
        _svg("<rect style='background:url(https://evil.example/)'/>"),
        _svg("<rect fill='url(https://evil.example/x)'/>"),
        _svg("<rect fill='u&#114;l(https://evil.example/x)'/>"),
        _svg("<rect fill='ur\\6c(x)'/>"),
        _svg("<animate attributeName='href' values='javascript:alert(1)'/>"),
        _svg("<set attributeName='onload' to='alert(1)'/>"),
        _svg("<x:script xmlns:x='http://www.w3.org/1999/xhtml'>alert(1)</x:script>"),
        _svg("<x:rect xmlns:x='http://www.w3.org/1999/xhtml'/>"),
        b'<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + _svg("<text>&b;</text>"),
        b'<!doctype svg SYSTEM "file:///etc/passwd">' + SVG_LOGO,
        b'<?xml-stylesheet href="https://evil.example/x.css"?>' + SVG_LOGO,
        b'<?xml version="1.0"?><?xml-stylesheet href="x"?>' + SVG_LOGO,
        _svg("<text><![CDATA[<script>]]></text>"),
        _svg("<!-- <!ENTITY --> <!ENTITY a 'b'>"),
        _svg("<g>" * 2100 + "</g>" * 2100),
        SVG_LOGO.decode().encode("utf-16"),
        b"<html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>",
        b"<svg><script>alert(1)</script></svg>",
        b"GIF89a",
        b"",
        SVG_LOGO + b" " * LOGO_BYTES,
    ],
    ids=range(29),
)
def test_what_could_do_more_than_draw_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid, match="logo: "):
        checked_logo(content)


@pytest.mark.parametrize(
    "content",
    [
        png()[:-1],
        png() + b"<script>alert(1)</script>",
        png()[:40] + b"X" + png()[41:],
        png(2, 2, chunk(b"tEXt", b"Comment\0<script>alert(1)</script>")),
        png(2, 2, chunk(b"iCCP", b"x\0\0" + zlib.compress(b"x"))),
        png(5000, 1),
        png(2, 2, interlace=1),
        png(2, 2, pixels=b"\0" * 5_000_000),
        png(1200, 600, pixels=b"\0"),
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""),
        b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xffIHDR",
    ],
    ids=range(12),
)
def test_a_picture_that_is_not_what_it_says_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid, match="logo: "):
        checked_logo(content)


@pytest.mark.parametrize(
    "brand",
    [
        Brand(name="North\r\nBcc: x@y.example"),
        Brand(name="<script>alert(1)</script>"),
        Brand(name="support@bank.example"),
        Brand(name="x" * 61),
        Brand(colour="red"),
        Brand(colour="#fff}body{background:url(x)"),
        Brand(colour="#0b57d0\n;"),
        Brand(reply_to="a@b.example\r\nBcc: c@d.example"),
        Brand(reply_to="nobody"),
        Brand(notice_text="a\x00b"),
        Brand(notice_text="x" * 1501),
        Brand(web_host="a.example/x"),
        Brand(bounce_host="a.example\nMX"),
        Brand(release_host="javascript:alert(1)"),
    ],
    ids=range(14),
)
def test_what_would_break_out_of_a_mail_or_page_is_refused(brand: Brand) -> None:
    with pytest.raises(Invalid):
        checked_brand(brand)


def test_a_brand_is_kept_in_one_form() -> None:
    kept = checked_brand(Brand(name=" North   Hosting ", colour="#0B57D0", web_host="Mail.North.Example.", logo=png()))

    assert (kept.name, kept.colour, kept.web_host, kept.logo_type) == (
        "North Hosting",
        "#0b57d0",
        "mail.north.example",
        PNG,
    )


def test_a_page_in_a_brand_runs_nothing_and_loads_nothing() -> None:
    tampered = Brand(name='"><script>alert(1)</script>', colour="#ffd400", logo=SVG_LOGO, logo_type=SVG)
    response, plain = page(200, "T", "x", tampered), page(200, "T", "x")  # type: ignore[arg-type]
    text, rules = bytes(response.body).decode(), response.headers["content-security-policy"]

    assert "<script" not in text
    assert "&quot;&gt;&lt;script&gt;" in text
    assert 'src="data:image/svg+xml;base64,' in text
    assert "default-src 'none'" in rules
    assert "img-src data:;" in rules
    assert "#ffd400;color:#000" in text
    assert rules != plain.headers["content-security-policy"]  # its own style, by its own hash
    assert "<img" not in bytes(plain.body).decode()


@pytest.mark.parametrize(("colour", "ink"), [("#000000", "#fff"), ("#ffffff", "#000"), ("#ffff00", "#000")])
def test_words_on_a_colour_can_be_read(colour: str, ink: str) -> None:
    assert ink_on(colour) == ink


def test_a_brand_holds_for_its_reseller_s_accounts_and_hosts_only() -> None:
    north = Brand(name="North", web_host="mail.north.example", dashboard_host="panel.north.example")
    brands = Brands({"north": north}, {"acme": Account("acme", "north"), "other": Account("other", "south")})

    assert (brands.of_account("acme"), brands.of_account("other"), brands.of_account("x")) == (
        north,
        NO_BRAND,
        NO_BRAND,
    )
    assert brands.of_host("PANEL.north.example:8501") == north
    assert brands.of_host("north.example") == brands.of_host("") == brands.of_host("[::1]:80") == NO_BRAND
    assert brands.web_base("acme", "https://relay.example/") == "https://mail.north.example"
    assert brands.release_base("acme", "https://relay.example/") == "https://mail.north.example"
    assert brands.web_base("other", "https://relay.example/") == "https://relay.example"
    assert brands.web_base("acme", "") == ""  # nothing of ours is public: a link would lead nowhere


def test_a_reseller_is_added_changed_removed_and_brought_back(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        would = await room.ask(lambda relay: relay.add_reseller(NewReseller(name="north", contact="n@x", dry_run=True)))
        assert (would.contact, [one.name for one in await room.ask(lambda relay: relay.resellers())]) == ("n@x", [])
        added = await room.ask(lambda relay: relay.add_reseller(NewReseller(name="north", contact="n@north.example")))
        changed = await room.ask(lambda relay: relay.change_reseller("north", ResellerChange(contact="m@x.example")))
        assert (added.undo, changed.undo) == (
            "mailweir reseller remove north",
            "mailweir reseller set north --contact n@north.example",
        )
        limit = LimitOrder(level=Level.RESELLER, key="north", rcpts_per_hour=5)
        await room.ask(lambda relay: relay.set_limits(limit))
        await room.ask(lambda relay: relay.add_account(NewAccount(name="shop", reseller="north")))
        refused = await room.refusal(lambda relay: relay.remove_reseller("north"))
        assert (refused.status, "1 accounts (shop)" in refused.detail) == (409, True)

        await room.ask(lambda relay: relay.remove_account("shop"))
        await room.ask(lambda relay: relay.remove_reseller("north", Order(dry_run=True)))
        assert (await room.ask(lambda relay: relay.reseller("north"))).limits.rcpts_per_hour == 5
        assert (await room.ask(lambda relay: relay.remove_reseller("north"))).undo == "mailweir reseller restore north"
        again = (
            lambda relay: relay.add_reseller(NewReseller(name="north")),
            lambda relay: relay.add_account(NewAccount(name="new", reseller="north")),
            lambda relay: relay.restore_account("shop"),
        )
        assert [(await room.refusal(question)).status for question in again] == [409, 409, 409]
        assert (await room.refusal(lambda relay: relay.reseller("north"))).status == 404

        restored = await room.ask(lambda relay: relay.restore_reseller("north"))
        assert (restored.contact, restored.limits.rcpts_per_hour) == ("m@x.example", 5)
        commands = [entry.command for entry in await room.ask(lambda relay: relay.audit(limit=3))]
        assert commands == ["reseller.restore", "reseller.remove", "account.remove"]

    with_room(tmp_path, work)


def test_an_account_that_may_not_move_stays_where_it_is_in_memory_too(tmp_path: Path) -> None:
    async def moved() -> str:
        state = await State.open(default_url(tmp_path), "mw1", SteppedClock(START))
        north = await state.add_reseller("north", ADMIN)
        before = await state.add_account(Account("shop"), ADMIN)
        await state.move_reseller(north, ADMIN, is_removed=True)
        with pytest.raises(Conflict):
            await state.change_account(replace(before, reseller="north"), ADMIN, Act("account.set", "shop", "shop"))
        await state.close()
        return state.accounts["shop"].reseller

    assert asyncio.run(moved()) == ""


def test_a_brand_is_set_in_versions_and_taken_back(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        await room.ask(lambda relay: relay.add_reseller(NewReseller(name="isp")))
        would = await room.ask(lambda relay: relay.set_brand("isp", BrandOrder(name="ISP", dry_run=True)))
        assert (would.brand.name, (await room.ask(lambda relay: relay.brand("isp"))).versions) == ("ISP", [])

        first = await room.ask(
            lambda relay: relay.set_brand("isp", BrandOrder(name="ISP", logo=png())), "reseller-token"
        )
        second = await room.ask(lambda relay: relay.set_brand("isp", BrandOrder(colour="#112233", logo=b"")))
        assert (first.brand.logo_type, first.undo) == (PNG, "mailweir reseller brand back isp 0")
        assert (second.brand.name, second.brand.logo, second.undo) == ("ISP", b"", "mailweir reseller brand back isp 1")
        back = await room.ask(lambda relay: relay.brand_back("isp", BrandBack(version=1)))
        assert (back.brand.version, back.brand.logo, back.brand.colour) == (3, png(), "")
        held = await room.ask(lambda relay: relay.brand("isp"))
        assert [(one.version, one.author, one.logo) for one in held.versions] == [
            (3, "admin", b""),
            (2, "admin", b""),
            (1, "isp", b""),
        ]
        entry = (await room.ask(lambda relay: relay.audit(limit=1)))[0]
        assert (entry.command, entry.target, entry.detail["colour"]) == ("reseller.brand", "isp", "")
        assert str(entry.detail["logo"]).startswith(f"{len(png())} bytes ")
        none = await room.ask(lambda relay: relay.brand_back("isp", BrandBack(version=0)))
        assert none.brand.name == ""
        assert await room.ask(lambda relay: relay.brand_of_host("x.example")) == BrandView()  # no host, nobody's
        assert (await room.refusal(lambda relay: relay.brand_back("isp", BrandBack(version=99)))).status == 404

    with_room(tmp_path, work)


def test_hosts_are_the_operator_s_to_give_and_of_one_brand_only(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        for name in ("isp", "north"):
            await room.ask(lambda relay, name=name: relay.add_reseller(NewReseller(name=name)))
        host = BrandOrder(web_host="mail.isp.example")
        assert (await room.refusal(lambda relay: relay.set_brand("isp", host), "reseller-token")).status == 403
        assert (await room.ask(lambda relay: relay.set_brand("isp", host))).brand.web_host == "mail.isp.example"
        assert (await room.refusal(lambda relay: relay.set_brand("north", host))).status == 409

        own = await room.ask(lambda relay: relay.set_brand("isp", BrandOrder(name="Mine")), "reseller-token")
        back = await room.ask(lambda relay: relay.brand_back("isp", BrandBack(version=0)), "reseller-token")
        assert (own.brand.web_host, back.brand.web_host, back.brand.name) == (*["mail.isp.example"] * 2, "")
        for question in (
            lambda relay: relay.set_brand("north", BrandOrder(name="x")),
            lambda relay: relay.brand("north"),
            lambda relay: relay.brand_back("north", BrandBack(version=0)),
        ):
            assert (await room.refusal(question, "reseller-token")).status == 404
        assert (await room.refusal(lambda relay: relay.brand_of_host("x"), "reseller-token")).status == 403
        assert (await room.ask(lambda relay: relay.own_brand(), "reseller-token")).reseller == "isp"
        assert (await room.ask(lambda relay: relay.own_brand())).reseller == ""
        assert (await room.ask(lambda relay: relay.brand_of_host("mail.isp.example:443"))).reseller == "isp"
        wrong = await room.refusal(lambda relay: relay.set_brand("isp", BrandOrder(logo=b"<svg/>")))
        assert (wrong.status, "logo: " in wrong.detail) == (422, True)

    with_room(tmp_path, work)


def test_hosts_of_a_removed_reseller_are_free_and_stay_so_for_who_took_them(tmp_path: Path) -> None:
    async def work(room: Room) -> None:
        for name in ("old", "north"):
            await room.ask(lambda relay, name=name: relay.add_reseller(NewReseller(name=name)))
        host = BrandOrder(web_host="mail.old.example")
        await room.ask(lambda relay: relay.set_brand("old", host))
        await room.ask(lambda relay: relay.remove_reseller("old"))
        assert (await room.ask(lambda relay: relay.brand_of_host("mail.old.example"))).reseller == ""
        await room.ask(lambda relay: relay.restore_reseller("old"))
        assert (await room.ask(lambda relay: relay.brand_of_host("mail.old.example"))).reseller == "old"

        await room.ask(lambda relay: relay.remove_reseller("old"))
        await room.ask(lambda relay: relay.set_brand("north", host))
        refused = await room.refusal(lambda relay: relay.restore_reseller("old"))

        assert (refused.status, "mail.old.example" in refused.detail, "'north'" in refused.detail) == (409, True, True)
        assert (await room.ask(lambda relay: relay.brand_of_host("mail.old.example"))).reseller == "north"
        await room.ask(lambda relay: relay.set_brand("north", BrandOrder(web_host="")))
        await room.ask(lambda relay: relay.restore_reseller("old"))
        assert (await room.ask(lambda relay: relay.brand_of_host("mail.old.example"))).reseller == "old"

    with_room(tmp_path, work)


def test_brands_are_there_again_after_a_restart(tmp_path: Path) -> None:
    async def before(room: Room) -> None:
        await room.ask(lambda relay: relay.add_reseller(NewReseller(name="isp")))
        for number in range(KEPT + 3):
            order = BrandOrder(name=f"ISP {number}", logo=SVG_LOGO)
            await room.ask(lambda relay, order=order: relay.set_brand("isp", order))

    async def after() -> None:
        state = await State.open(default_url(tmp_path), "mw1", SteppedClock(START))
        kept = await state.branding.versions("isp")
        await state.close()
        assert (state.brands.of_reseller("isp").name, len(kept)) == (f"ISP {KEPT + 2}", KEPT)
        assert state.brands.of_reseller("isp").logo == kept[0].brand.logo == SVG_LOGO

    with_room(tmp_path, before)
    asyncio.run(after())


def test_customers_records_and_return_paths_name_the_reseller_s_host() -> None:
    brands = Brands({"north": Brand(bounce_host="bounce.north.example")}, {})
    settings = Settings(verp=Verp(domain="bounce.relay.example"), smtp=Smtp(inbox_listen=["127.0.0.1:0"]))
    paths = ReturnPaths(settings, SteppedClock(START), [Key(1, b"1" * 32, START)], Domain, brands)

    assert paths.domain_for(Account("acme", "north"), "a@north.example") == "bounce.north.example"
    assert paths.domain_for(Account("acme", "north"), "a@relay.example") == ""  # would not be aligned
    assert paths.domain_for(Account("other"), "a@relay.example") == "bounce.relay.example"


def test_a_notice_is_in_the_reseller_s_name_and_nobody_writes_headers_by_it() -> None:
    brand = checked_brand(Brand(name="Nörd Hosting", reply_to="help@north.example", notice_text="Call us.\nNorth"))
    told = Bundle((), (("stopped", "hold/x", 1),), 1)
    heading = Heading("postmaster@relay.example", brand.reply_to, "ann@acme.example", "relay.example", START, brand)
    mail = notice_mail(Group(Audience.CONTACT, "acme", 0.0, None), told, [Item("Held", ("Why",))], heading)
    plain = notice_mail(
        Group(Audience.CONTACT, "acme", 0.0, None), told, [Item("Held", ("Why",))], replace(heading, brand=NO_BRAND)
    )

    parsed = message_from_bytes(mail, policy=policy.default)
    assert str(parsed["From"]) == "Nörd Hosting <postmaster@relay.example>"
    assert parsed["Reply-To"] == "help@north.example"
    assert "\n--\nCall us.\nNorth" in parsed.get_content().replace("\r\n", "\n")
    assert b"From: Mail relay <" in plain
    assert b"Call us" not in plain


def test_unsubscribe_page_is_in_the_brand_of_the_mail_s_reseller_and_a_stray_one_in_the_host_s() -> None:
    north = Brand(name="North", web_host="mail.north.example")
    wish = Wish("acme", "ann@post.example", "mw1.1")

    async def noted(_wish: Wish, _method: str, _address: str) -> None:
        raise AssertionError("a GET changes nothing")

    pages = UnsubscribePages(
        read=lambda token: wish if token == "good" else None,
        note=noted,
        author_of=lambda account: account,
        brands=Brands({"north": north}, {"acme": Account("acme", "north")}),
        clock=SteppedClock(START),
        proxies=(),
    )

    async def get(token: str, host: str) -> str:
        transport = httpx2.ASGITransport(app=Starlette(routes=pages.routes()))
        async with httpx2.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return (await client.get(f"/u/{token}")).text

    assert "<header>North</header>" in asyncio.run(get("good", "relay.example"))
    assert "<header>North</header>" in asyncio.run(get("bad", "mail.north.example"))
    assert "<header>" not in asyncio.run(get("bad", "relay.example"))
