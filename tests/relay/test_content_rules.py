"""The certain rules: each by mail that meets it, and by mail like it that does not."""

import base64
import io
import zipfile
from pathlib import Path

import pytest

from relay.content.features import measure
from relay.content.message import read
from relay.content.rule_book import Rule, RuleError, load_rules
from relay.content.rules import Rules
from relay.content.tokens import words_of
from relay.events import Action, Hit

BOOK = load_rules()
RULES = Rules(BOOK, words_of)


def met(text: str, rules: Rules = RULES) -> dict[str, Hit]:
    content = text.lstrip("\n").replace("\n", "\r\n").encode()
    reading = read(content)
    features = measure(reading, words_of(reading.visible or reading.plain), "info@firm.example")
    return {hit.rule: hit for hit in rules.find(reading, features, content)}


def html(body: str, author: str = "Shop <info@firm.example>") -> str:
    return f"From: {author}\nSubject: news\nContent-Type: text/html\n\n{body}\n"


def plain(body: str, author: str = "Shop <info@firm.example>", subject: str = "news") -> str:
    return f"From: {author}\nSubject: {subject}\n\n{body}\n"


def attached(name: str, body: str = "x") -> str:
    kind = f'Content-Type: application/octet-stream\nContent-Disposition: attachment; filename="{name}"'
    return f"From: Shop <info@firm.example>\nSubject: file\n{kind}\n\n{body}\n"


@pytest.mark.parametrize("rule", [rule for rule in BOOK.rule if not rule.senders], ids=lambda rule: rule.id)
def test_the_example_of_each_rule_meets_it(rule: Rule) -> None:
    assert rule.id in met(rule.example)


ORDINARY = {
    "a letter": plain("Hi Tom, could you check rows 12 to 20 before the meeting on Thursday? Thanks, Eve"),
    "a picture": attached("holiday.jpg"),
    "a name with dots": attached("Minutes.2026.11.pdf"),
    "mail about the test virus": plain(
        "Scanners are tried with the string X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    ),
    "help with a mail program": plain(
        "Hello Mr Weber, your new mailbox is ready. Please set up your mail program so: incoming mail is IMAP at "
        "imap.firm.example with port 993 and TLS, outgoing mail is SMTP at smtp.firm.example with port 587 and "
        "STARTTLS. Your user name is your address, and the password is the one that you chose with us on the phone "
        "yesterday. If anything does not work, answer this mail or call us, we are there from nine to five."
    ),
    "a link that names its target": html('<a href="https://www.firm-shop.com/x">www.firm-shop.com</a>'),
    "a file name as link text": html('<a href="https://firm.example/x">invoice.pdf</a>'),
    "PayPal itself": html(
        '<a href="https://www.paypal.com/signin">www.paypal.com</a>', '"PayPal Service" <service@paypal.de>'
    ),
    "a shop about PayPal": html('Pay with PayPal. <a href="https://www.paypal.com/x">Pay</a>', "Shop <a@b.example>"),
    "a person called like a brand": plain("Hello", "Amazon Meyer <amazon.meyer@firm.example>"),
    "a shop of a brand's goods": plain("Hello", "Apple Tree Nursery <info@appletree.example>"),
    "a neighbour's name": plain("See https://www.lng.com/ and https://www.appie.nl/ and https://chess.com/"),
    "a brand's other suffix": plain("See https://www.microsoft.fr/"),
    "a page about a brand": plain("See https://www.amazon-ratgeber.example/"),
    "an inline picture": html('<img src="data:image/png;base64,AAAA"><a href="mailto:a@firm.example">write</a>'),
    "a search form": html('<form action="https://firm.example/s">Search</form>'),
}


@pytest.mark.parametrize("text", ORDINARY.values(), ids=ORDINARY.keys())
def test_ordinary_mail_meets_no_rule_that_decides(text: str) -> None:
    deciding = {name for name, hit in met(text).items() if hit.action is not Action.ACCEPT}

    assert deciding == set()


@pytest.mark.parametrize(
    ("rule", "text", "seen"),
    [
        ("double-extension", attached("Rechnung.pdf .scr"), "attachment Rechnung.pdf .scr hides its true type"),
        ("executable", attached("run.CMD"), "attachment run.CMD is a program"),
        (
            "number-for-name",
            html('<a href="http://203.0.113.9/x">paypal.com</a>'),
            "link text says paypal.com, goes to 203.0.113.9",
        ),
        ("brand-sender", plain("x", "DHL Paket <x@firm.example>"), "calls itself “DHL Paket”"),
        ("brand-sender", plain("x", "Bank of America Alerts <x@firm.example>"), "writes from firm.example"),
        ("brand-host", plain("https://secure-netflix.example/"), "secure-netflix.example carries the name Netflix"),
        ("look-alike", plain("https://paypa1.com/x"), "paypa1.com looks like paypal.com"),
        ("look-alike", plain("https://arnazon.com/x"), "arnazon.com looks like amazon.com"),
        ("look-alike", plain("https://instagrram.com/x"), "instagrram.com looks like instagram.com"),
        ("look-alike", plain("https://xn--80ak6aa92e.com/x"), "looks like apple.com"),
        ("credential-test", plain("mail.firm.example|587|info@firm.example|hunter22"), "access data of a mail server"),
        ("gift-card", plain("Buy five Gift Cards today."), "says “gift card”"),
    ],
)
def test_what_a_rule_has_seen_is_said_in_words(rule: str, text: str, seen: str) -> None:
    assert seen in met(text)[rule].seen


def zipped(name: str) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"x" * 100)
    kind = 'Content-Type: application/zip; name="a.zip"\nContent-Transfer-Encoding: base64'
    return f"Subject: file\n{kind}\n\n{base64.encodebytes(buffer.getvalue()).decode()}"


def test_a_program_is_found_inside_an_archive() -> None:
    assert "attachment docs/run.exe is a program" in met(zipped("docs/run.exe"))["executable"].seen
    assert "executable" not in met(zipped("docs/run.txt"))


def test_a_feature_alone_decides_nothing() -> None:
    hits = met(
        html('<a href="https://click.tracker.example/x">www.firm-shop.com</a> <a href="https://bit.ly/2abc">x</a>')
    )

    assert {name: hit.action for name, hit in hits.items()} == dict.fromkeys(
        ("link-elsewhere", "shortener"), Action.ACCEPT
    )


def own_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    return str(path)


def test_a_file_of_ones_own_changes_adds_and_switches_off(tmp_path: Path) -> None:
    own = own_file(
        tmp_path,
        """
        [rule.executable]
        action = "off"
        sign = "file-type"
        [rule.lottery]
        sign = "phrase"
        action = "reject"
        words = ["lottery"]
        example = "Subject: x\\n\\nThe lottery office"
        """,
    )
    rules = Rules(load_rules(own), words_of)

    assert met(plain("you have won the lottery"), rules)["lottery"].action is Action.REJECT
    assert "executable" not in met(attached("a.exe"), rules)
    assert "double-extension" in met(attached("a.pdf.exe"), rules)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[rule.a]\nsign = "phrase"\naction = "hold"\nexample = "x"\ncolour = "red"', "colour"),
        ('[rule.a]\nsign = "smell"\naction = "hold"\nexample = "x"', "sign = 'smell' is unknown"),
        ('[rule.a]\nsign = "phrase"\naction = "burn"\nexample = "x"', "burn"),
        ('[rule.a]\nsign = "phrase"\naction = "hold"', "no `example`"),
        (
            '[rule.a]\nsign = "phrase"\naction = "hold"\nwords = ["y"]\nexample = "x"',
            "its own example does not meet it",
        ),
        ('[rules.a]\nsign = "phrase"', "unknown key 'rules'"),
        ("[rule.a", "rules.toml"),
    ],
)
def test_a_wrong_rule_stops_the_start_and_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(RuleError, match=complaint):
        Rules(load_rules(own_file(tmp_path, text)), words_of)


def test_none_means_no_rules() -> None:
    assert met(attached("a.exe"), Rules(load_rules("none"), words_of)) == {}
