"""The spam score: what the shipped model says, why, and that an altered model is refused."""

import json
import shutil
from pathlib import Path
from zlib import crc32

import pytest

from relay.content.assess import Assessor
from relay.content.model import load
from relay.content.model_files import CARD, FEATURE_VERSION, find_model
from relay.content.protocol import ContentRequest, ContentResult, ModelError
from relay.content.tokens import columns, hash_words, pairs, words_of

HAM = {
    "colleague": """Budget for the second quarter
Hi Tom,
I put the new figures into the shared sheet. Could you check rows 12 to 20 before the meeting on Thursday?
Marketing moved two items.
Thanks, Eve""",
    "reset": """Reset your password
Hello,
we received a request to reset the password of your account. The link works for one hour.
If it was not you, you can ignore this message.
https://app.example/reset/81237""",
    "invoice": """Invoice 2026-118
Dear customer,
attached please find invoice 2026-118 over 238.00 EUR for October. Payment is due within 14 days.
Kind regards, accounts department""",
    "newsletter": """News from the garden centre
Dear gardeners,
autumn is the time to plant bulbs. This week all tulips are 20 % off, and on Saturday we show how to prune roses.
You receive this newsletter because you signed up. Unsubscribe: https://garden.example/u""",
    "german": """Ihre Bestellung 88123
Guten Tag,
vielen Dank für Ihre Bestellung. Wir packen Ihr Paket und melden uns, sobald es verschickt ist.
Mit freundlichen Grüßen""",
}
BAD = {
    "pharmacy": """Cheap Viagra and Cialis
Buy Viagra, Cialis and Levitra online without prescription. Lowest price guaranteed, discreet worldwide shipping.
Order now: http://pills.example/""",
    "crypto": """Double your Bitcoin today
Invest in Bitcoin with our trading bot and earn guaranteed profit of 500 dollars a day. No experience needed, no risk.
Click here and claim your free bonus now: http://coin.example/""",
    "prize": """Congratulations, you have won
Congratulations! You have been selected as the lucky winner of a new iPhone. Claim your prize now, this offer
expires today. Click here: http://win.example/""",
    "phishing": """Your account has been suspended
Dear customer, we noticed unusual activity on your account and it has been suspended. Please verify your account
within 24 hours and confirm your password and card number, or it will be permanently closed.
Click here to verify your account: http://login.example/""",
}
HEAD = "From: Firm <office@firm.example>\r\nTo: you@customer.example\r\nContent-Type: text/plain; charset=utf-8\r\n"


def written(text: str, kind: str = "plain") -> ContentRequest:
    """A message from a text whose first line is the subject."""
    subject, _, body = text.partition("\n")
    head = HEAD.replace("plain", kind) + f"Subject: {subject}\r\n\r\n"
    return ContentRequest((head + body.replace("\n", "\r\n")).encode(), "office@firm.example", "mx.example", 0.0)


@pytest.fixture(scope="module")
def assessor() -> Assessor:
    return Assessor(load(find_model("shipped")), {})


def assess(assessor: Assessor, content: ContentRequest) -> ContentResult:
    [result] = assessor.assess([content])
    return result


@pytest.mark.parametrize("text", HAM.values(), ids=HAM.keys())
def test_ordinary_mail_is_far_below_every_line(assessor: Assessor, text: str) -> None:
    result = assess(assessor, written(text))

    assert result.score is not None
    assert result.score < 0.2
    assert result.reasons == []


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_plain_abuse_is_held_and_the_reason_names_its_words(assessor: Assessor, text: str) -> None:
    result = assess(assessor, written(text))

    assert result.score is not None
    assert result.score > 0.9
    assert any("words typical of abusive mail: “" in reason for reason in result.reasons)


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_a_passage_of_good_words_does_not_hide_abuse_among_ordinary_mail(assessor: Assessor, text: str) -> None:
    """It may fall below the lines of action: these texts are shorter than the passage."""
    ordinary = [assess(assessor, written(good)).score or 0 for good in HAM.values()]

    washed = assess(assessor, written(f"{text}\n{HAM['colleague']}")).score

    assert washed is not None
    assert washed > 10 * max(ordinary)


def test_a_picture_alone_is_suspect_at_most(assessor: Assessor) -> None:
    text = 'Our menu\n<a href="http://203.0.113.9/"><img src="cid:1"></a><form action="http://203.0.113.9/"></form>'

    score = assess(assessor, written(text, "html")).score

    assert score is not None
    assert score < 0.9


def test_a_lying_link_is_named_in_words(assessor: Assessor) -> None:
    markup = f'{BAD["phishing"]}<a href="http://203.0.113.9/x">www.paypal.com</a>'

    reasons = assess(assessor, written(markup, "html")).reasons

    assert reasons[0] == "link text says paypal.com, goes to 203.0.113.9"


def test_reasons_have_no_numbers_of_ours(assessor: Assessor) -> None:
    for text in BAD.values():
        for reason in assess(assessor, written(text + " 5000 $ 100%")).reasons:
            assert "0" not in reason
            assert "urlx" not in reason


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(find_model("shipped"), tmp_path / "copied"))


def test_an_altered_array_is_refused(copied: Path) -> None:
    data = bytearray((copied / "weights.npy").read_bytes())
    data[5000] ^= 1
    (copied / "weights.npy").write_bytes(data)

    with pytest.raises(ModelError, match=r"weights\.npy does not match its card"):
        load(copied)


def test_a_missing_array_is_refused(copied: Path) -> None:
    (copied / "weights.npy").unlink()

    with pytest.raises(ModelError, match="No such file"):
        load(copied)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("feature_version", FEATURE_VERSION + 1, "train it again"),
        ("bits", 10, r"2\^10 numbers expected"),
        ("slope", "steep", "not a model's card"),
        ("arrays", {}, "does not name weights.npy"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(copied: Path, key: str, value: object, message: str) -> None:
    card = json.loads((copied / CARD).read_bytes()) | {key: value}
    (copied / CARD).write_text(json.dumps(card))

    with pytest.raises(ModelError, match=message):
        load(copied)


def test_an_unknown_model_says_how_to_make_one() -> None:
    with pytest.raises(ModelError, match="mailweir model train --name nosuch"):
        find_model("nosuch")


def test_the_shipped_model_is_small_and_says_where_it_comes_from() -> None:
    folder = find_model("shipped")
    card = load(folder).card

    assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000
    assert {"own", "sa-spam"} <= {source.name for source in card.sources}
    assert not {"phishing_pot", "marketing-html-wrapped"} & {source.name for source in card.sources}
    assert [line.p for line in card.thresholds] == [0.5, 0.9, 0.99]
    assert all(source.terms and "not for shipped" not in source.terms for source in card.sources)


def test_words_are_cut_alike_in_any_alphabet() -> None:
    assert words_of("Größe „50 %“ – DON’T") == ["größe", "00", "%", "dont"]
    assert words_of("您的帐户") == ["您", "的", "帐", "户"]
    assert words_of("DON'T pay 500, see www.x.example or a@b.example!") == [
        "dont",
        "pay",
        "000",
        "see",
        "urlx",
        "or",
        "mailx",
    ]


def test_hashes_are_stable_across_processes_and_columns_distinct() -> None:
    hashes = hash_words(["free", "money", "free"])

    assert hashes.tolist() == [crc32(b"free"), crc32(b"money"), crc32(b"free")]
    assert len(pairs(hashes)) == 2
    assert len(columns([hashes], 20)) == 2
