"""Mail in other clothes, and product mail of our own: what a model is to learn from beside the corpora."""

import random
from dataclasses import replace
from email.message import EmailMessage
from email.policy import SMTP

import numpy as np

from analytics.learning.clothes import dressed
from analytics.learning.corpus import Example
from analytics.learning.crew import Crew
from analytics.learning.linear import fit_linear
from analytics.learning.product import product_drafts
from analytics.learning.reading import sampled
from analytics.learning.samples import Samples
from analytics.learning.texts import Text, texts
from relay.content.message import read
from relay.content.tokens import words_of

TEXT = "the minutes of our meeting about the roof are attached please read them before friday"


def plain(subject: str, text: str) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["Subject"] = "Ines Moser <ines@firm.example>", subject
    mail.set_content(text)
    return mail.as_bytes()


def in_html(subject: str, text: str) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["Subject"] = "Ines Moser <ines@firm.example>", subject
    link = '<a href="https://www.firm.example/a/1">here</a>'
    mail.set_content(f"<html><body><table><tr><td>{text} {link}</td></tr></table></body></html>", subtype="html")
    return mail.as_bytes()


def test_other_clothes_keep_subject_words_and_links() -> None:
    raw = plain("Roof, again", f"{TEXT}\n\nhttps://www.roof.example/minutes?id=7\n")

    pages = [read(dressed(raw, random.Random(seed))) for seed in range(40)]

    for page in pages:
        assert page.html_length > 300
        assert page.subject == "Roof, again"
        assert TEXT in " ".join(words_of(page.visible))
        assert "https://www.roof.example/minutes?id=7" in {link.url for link in page.links}


def test_no_two_messages_wear_the_same_and_the_same_seed_dresses_alike() -> None:
    raw = plain("Roof", TEXT)

    pages = {read(dressed(raw, random.Random(seed))).visible for seed in range(30)}

    assert len(pages) > 20
    assert read(dressed(raw, random.Random(3))).visible == read(dressed(raw, random.Random(3))).visible


def test_only_mail_to_learn_from_is_copied_with_its_label() -> None:
    examples = [
        Example(plain(f"Roof {n}", TEXT), n % 2 == 0, "trec07p", "trec07p", "valid" if n < 10 else "train", str(n))
        for n in range(30)
    ]

    samples = sampled(examples, Crew())

    assert len(samples.views) == 30
    assert sorted(samples.donors.tolist()) == list(range(10, 30))
    copies, rows = samples.dressed_of(np.array([11, 12, 3]))
    assert len(copies) == 2
    assert sorted(rows.tolist()) == [11, 12]
    assert len(copies[0].whole) > len(samples.views[int(rows[0])].whole)


def test_where_bad_mail_alone_is_html_copies_teach_that_html_is_not_what_is_bad() -> None:
    ham = [Example(plain(one.subject, one.body), False, "old", "old", "train", one.id) for one in _texts(is_bad=False)]
    bad = [Example(in_html(one.subject, one.body), True, "new", "new", "train", one.id) for one in _texts(is_bad=True)]
    samples = sampled([*ham, *bad], Crew())
    judged = sampled([Example(in_html("Roof", TEXT), False, "x", "x", "valid")], Crew()).views
    rows = np.arange(len(samples.views))

    with_copies = fit_linear(samples, rows).logits(judged)[0, :2].mean()
    without = fit_linear(_without_copies(samples), rows).logits(judged)[0, :2].mean()

    assert without > 0
    assert with_copies < without - 0.5


def test_product_mail_says_whole_sentences_and_is_never_bad() -> None:
    found = list(product_drafts())

    assert len(found) == 800
    assert not any(draft.is_bad for draft in found)
    assert {draft.part for draft in found} == {"own-1", "own-2", "own-3", "own-4"}
    for draft in found[:80]:
        page = read(draft.write())
        assert page.subject
        assert not set("{}[]") & set(page.subject + page.text)
        assert len(words_of(page.text)) > 5


def _texts(*, is_bad: bool) -> list[Text]:
    return [one for one in texts() if one.is_bad == is_bad][:60]


def _without_copies(samples: Samples) -> Samples:
    return replace(samples, dressed=[], donors=np.zeros(0, np.int64))
