"""Why a message got its score, in words a customer understands: no hash numbers, no names of features."""

from collections.abc import Sequence

import numpy as np

from relay.content.features import host_of, shown_elsewhere
from relay.content.message import Reading
from relay.content.model import Model
from relay.content.tokens import hash_words, pairs
from relay.events import Features

_MOST = 7
_RULES = 4
_PHRASES = 4
_SMALL_WORDS = (
    "a about all am an and any are as at be been but by can do for from get has have he her his how if in into "
    "is it its just me my no not of on one only or our out she so that the their them they this to up us was "
    "we what when will with you your der die das und ist zu in den sie ihr ihre le la les de du des et vous "
    "votre el los su un una"
)
_SMALL = frozenset(_SMALL_WORDS.split())
_LIGHTEST = 0.35  # of the heaviest phrase's weight: what counts less is not worth a customer's time


def explain(
    model: Model, reading: Reading, features: Features, words: list[str], subject: list[str], seen: Sequence[str] = ()
) -> list[str]:
    """Return the heaviest reasons for a high score: what the certain rules have `seen`, other signs, words."""
    found = [*seen[:_RULES], *(sign for sign in _signs(reading, features) if sign not in seen)]
    if phrases := _phrases(model, words):
        found.append("words typical of abusive mail: " + ", ".join(f"“{phrase}”" for phrase in phrases))
    if phrases := _phrases(model, subject)[:2]:
        found.append("in the subject: " + ", ".join(f"“{phrase}”" for phrase in phrases))
    return found[:_MOST]


def _phrases(model: Model, words: list[str]) -> list[str]:
    """The words and pairs that weigh most towards bad, each place in the text named once."""
    if not words:
        return []
    hashes = hash_words(words)
    single, double = model.weights_of(hashes), model.weights_of(pairs(hashes))
    # a pair says more than its words: it carries their weight too
    joint = double + single[:-1] + single[1:] if len(words) > 1 else double
    weights = np.concatenate([single, joint])
    chosen: list[str] = []
    used: set[int] = set()
    for at in np.argsort(-weights)[:60].tolist():
        if weights[at] <= 0 or weights[at] < _LIGHTEST * float(weights.max()) or len(chosen) == _PHRASES:
            break
        places = (at,) if at < len(words) else (at - len(words), at - len(words) + 1)
        phrase = " ".join(words[place] for place in places)
        if used.isdisjoint(places) and _is_speaking(phrase) and not any(phrase in known for known in chosen):
            chosen.append(phrase)
            used.update(place + step for place in places for step in (-1, 0, 1))
    return chosen


def _is_speaking(phrase: str) -> bool:
    """Something a reader can find in his text: no numbers (all digits are 0 here), no address, not only small words."""
    if "0" in phrase or "urlx" in phrase or "mailx" in phrase or not 3 <= len(phrase) <= 60:
        return False
    return any(word not in _SMALL for word in phrase.split())


def _signs(reading: Reading, features: Features) -> list[str]:
    signs = []
    for link in reading.page.links:
        if shown := shown_elsewhere(link):
            signs.append(f"link text says {shown}, goes to {host_of(link.url)[:80]}")
            break
    if features.ip_links:
        signs.append("links to a bare number instead of a host name")
    if features.shortener_links:
        signs.append("links through a URL shortener, which hides the target")
    if features.hidden_html_share > 0.1:
        signs.append(f"HTML hides {features.hidden_html_share:.0%} of its text".replace("%", " %"))
    if features.mixed_script_words:
        signs.append(f"{features.mixed_script_words} words mix Latin with look-alike letters of other scripts")
    if features.invisible_characters > 3:
        signs.append(f"{features.invisible_characters} words are broken up by invisible characters")
    if features.display_name_address:
        signs.append(f"the sender's name shows another address than {reading.author.address[:80]}")
    if features.forms:
        signs.append("asks for input in a form inside the mail")
    return signs[:3]
