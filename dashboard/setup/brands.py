"""A reseller's brand: how its customers see this relay, as pages and mail show it, and the orders that change it."""

from dataclasses import fields, replace
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.components import notices
from dashboard.components.orders import Order, Reach, attempt, do_it, finish, offer
from dashboard.components.table import Column, Kind, table
from dashboard.components.tiles import facts
from dashboard.components.words import code, plain
from dashboard.setup import asked, brand_looks
from relay.control.errors import Invalid
from relay.resellers.brand import Brand
from relay.resellers.checked import checked_brand
from relay.resellers.logo import LOGO_BYTES
from relay.resellers.views import BrandBack, BrandOrder, BrandView, brand_of_view
from relay.tree import Role

_PARAM = "reseller"
_PARTS = tuple(field.name for field in fields(Brand) if field.name != "logo_type")
_HOST_WORDS = {
    "web_host": ("Host of unsubscribe links", "https://HOST/u/…; it leads to the proxy before the public web listener"),
    "release_host": ("Host of release links", "https://HOST/r/…; empty: the host of unsubscribe links"),
    "bounce_host": ("Host of return paths", "CNAME target in customers' records; an MX to the relay's inbox"),
    "dashboard_host": ("Host of the sign-in page", "at this host people are asked to sign in under the brand"),
}
_COLUMNS = [
    Column("version", "Version", Kind.COUNT),
    Column("set_at", "Set", Kind.INSTANT),
    Column("author", "By"),
    Column("name", "Name", width="medium"),
    Column("colour", "Colour"),
    Column("hosts", "Hosts", width="medium"),
]
_COLOUR = "#1f4a63"


def show(now: datetime) -> None:
    """The brand of the reader's reseller, or of the one that is chosen."""
    resellers = asked.resellers()
    notices.troubles(now, analytics=[], relay=[resellers])
    names = [one.name for one in resellers.value]
    if not names:
        if resellers.is_fresh:
            notices.empty(
                "No reseller in your part. A reseller answers for accounts, and its customers see its name.",
                command="mailweir reseller add north",
                icon="storefront",
            )
        return
    wanted = st.query_params.get(_PARAM, "")
    if len(names) > 1:
        chosen = st.selectbox(
            "Reseller", names, index=names.index(wanted) if wanted in names else 0, key="brand_of", width=300
        )
        st.query_params[_PARAM] = name = chosen or names[0]
    else:
        name = names[0]
    known = attempt(lambda relay: relay.brand(name))
    if known is not None:
        _brand(name, known.brand, known.versions, now)


def _brand(name: str, view: BrandView, versions: list[BrandView], now: datetime) -> None:
    brand = brand_of_view(view)
    with st.container(horizontal=True):
        label = "Change this brand" if view.version else "Make a brand"
        offer(label, _CHANGE.about(name), key="brand_change", role=Role.ADMIN, kind="primary", reach=Reach.RESELLER)
        if view.version:
            offer("Earlier brand", _BACK.about(name), key="brand_back", role=Role.ADMIN, reach=Reach.RESELLER)
    if not view.version:
        st.caption(f"{code(name)} has no brand: its customers see this relay's own name and colours, as below.")
    facts(
        [
            ("Name", plain(brand.name or "the relay's own")),
            ("Colour", plain(brand.colour or "the relay's own")),
            ("Customers write to", plain(brand.reply_to or "the relay's own")),
            *((words, plain(getattr(brand, part) or "–")) for part, (words, _) in _HOST_WORDS.items()),
        ]
    )
    brand_looks.show(brand)
    if versions:
        st.markdown("**Versions** :gray[:small[the last 20; any of them can hold again]]")
        table(pd.DataFrame(map(_row, versions)), _COLUMNS, key="brand_versions")


def _row(one: BrandView) -> dict[str, Any]:
    return {
        "version": one.version,
        "set_at": one.set_at,
        "author": one.author,
        "name": one.name,
        "colour": one.colour,
        "hosts": ", ".join(brand_of_view(one).hosts),
    }


def _change(reseller: str) -> None:
    known = attempt(lambda relay: relay.brand(reseller))
    if known is None:
        return
    before = brand_of_view(known.brand)
    given = _look_fields(before) | _word_fields(before) | _host_fields(before)
    try:
        after = checked_brand(replace(before, **given))
    except Invalid as error:
        st.error(f"{plain(str(error)[:1].upper())}{plain(str(error)[1:])}", icon=":material/error:")
        do_it("Set brand", "palette", is_ready=False)
        return
    changed = {part: getattr(after, part) for part in _PARTS if getattr(after, part) != getattr(before, part)}
    brand_looks.show_small(after)
    st.caption(
        f"Holds from the next page and mail on. The audit log keeps it under {code(data.reader().principal.id)}."
    )
    if do_it("Set brand", "palette", is_ready=bool(changed)):
        done = attempt(lambda relay: relay.set_brand(reseller, BrandOrder(**changed)))
        finish(done, f"The brand of {code(reseller)} holds.")


def _look_fields(before: Brand) -> dict[str, Any]:
    left, right = st.columns(2)
    with left:
        name = st.text_input("Name", before.name, max_chars=60, placeholder="North Hosting", key="brand_name")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            has_colour = st.toggle("Its own colour", value=bool(before.colour), key="brand_has_colour")
            colour = st.color_picker("Colour", before.colour or _COLOUR, key="brand_colour", disabled=not has_colour)
    with right:
        file = st.file_uploader(
            f"Logo, PNG or SVG, at most {LOGO_BYTES // 1024} KB", type=["png", "svg"], key="brand_logo"
        )
        drops = bool(before.logo) and st.toggle("Without the logo", key="brand_no_logo")
    logo = file.getvalue() if file else b"" if drops else before.logo
    return {"name": name, "colour": colour if has_colour else "", "logo": logo}


def _word_fields(before: Brand) -> dict[str, Any]:
    return {
        "reply_to": st.text_input(
            "Customers write to", before.reply_to, placeholder="help@north.example", key="brand_reply"
        ).strip(),
        "notice_text": st.text_area(
            "At the end of each notice, a paragraph per line",
            before.notice_text,
            max_chars=1500,
            height=80,
            placeholder="Questions? Call 0800 123456.",
            key="brand_text",
        ),
    }


def _host_fields(before: Brand) -> dict[str, Any]:
    if not data.reader().sees_everything:
        st.caption(":material/lock: Host names stand in mail and certificates: the relay's operator gives them.")
        return {}
    with st.expander("Host names", icon=":material/language:", expanded=bool(before.hosts)):
        return {
            part: st.text_input(
                words, getattr(before, part), placeholder="mail.north.example", help=help_, key=f"brand_{part}"
            ).strip()
            for part, (words, help_) in _HOST_WORDS.items()
        }


def _back(reseller: str) -> None:
    known = attempt(lambda relay: relay.brand(reseller))
    if known is None:
        return
    choices = {one.version: one for one in known.versions if one.version != known.brand.version}
    labels = {number: f"{number}: {one.name or 'no name'}, set by {one.author}" for number, one in choices.items()}
    number = st.selectbox(
        "Which shall hold again", [*choices, 0], format_func=lambda n: labels.get(n, "No brand at all")
    )
    if not data.reader().sees_everything:
        st.caption(f"The host names of today stay: {plain(', '.join(brand_of_view(known.brand).hosts) or 'none')}.")
    if number:
        brand_looks.show_small(brand_of_view(choices[number]))
        st.caption("Its logo comes back too.")
    if do_it("Make it hold", "undo"):
        done = attempt(lambda relay: relay.brand_back(reseller, BrandBack(version=int(number or 0))))
        finish(done, f"The brand of {code(reseller)} is as it was.")


_CHANGE = Order("A reseller's brand", "palette", _change)
_BACK = Order("An earlier brand", "undo", _back)
