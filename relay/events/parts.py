"""What records of messages consist of: the verdict's action and trace, the rules met, the features of the content.

No part can be in a cycle, so the collector need not look at any (gc=False).
"""

from enum import StrEnum

import msgspec


class Action(StrEnum):
    """What the verdict does with a message."""

    ACCEPT = "accept"
    HOLD = "hold"
    DEFER = "defer"
    REJECT = "reject"


class Features(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the content worker measured on one message; every field is a column of the warehouse.

    Counts are of the whole message unless named otherwise; shares lie in [0, 1] and are 0 where there is no text.
    """

    subject_length: int = 0
    subject_upper_share: float = 0.0
    subject_exclamations: int = 0
    text_length: int = 0
    text_words: int = 0
    html_length: int = 0
    upper_share: float = 0.0
    digit_share: float = 0.0
    non_ascii_share: float = 0.0
    exclamations: int = 0
    currency_signs: int = 0
    invisible_characters: int = 0
    mixed_script_words: int = 0
    hidden_html_share: float = 0.0
    parts: int = 0
    attachments: int = 0
    attachment_bytes: int = 0
    attachment_types: list[str] = []
    mime_shape: str = ""
    links: int = 0
    link_domains: list[str] = []
    ip_links: int = 0
    shortener_links: int = 0
    mismatched_links: int = 0
    images: int = 0
    forms: int = 0
    received_headers: int = 0
    headers: int = 0
    from_domain: str = ""
    from_aligned: bool = True
    reply_to_differs: bool = False
    display_name_address: bool = False
    has_message_id: bool = True
    has_date: bool = True
    mailer: str = ""
    body_digest: str = ""


class Hit(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A certain rule (rules/content.toml) that a message met. `action` accept: it counts for nothing by itself.

    `code` stands in the reply (spec 2.1): MW, PH, SS or URL. `seen` is what was found, in words.
    """

    rule: str
    action: Action
    code: str
    seen: str


class TraceStep(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One guard step of the verdict: its rule, whether it decided, and the numbers it looked at, in words."""

    rule: str
    decided: bool
    detail: str
