"""How sure counts make us: the Beta posterior of a rate, and a probability in words. Pure arithmetic."""

import math
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Prior:
    """Beta(bad, good): what is believed of a sender before it sent anything."""

    bad: float
    good: float


@lru_cache(maxsize=65_536)  # senders have the same few counts; 6 us each
def sure_above(line: float, bad: float, seen: float, prior: Prior) -> float:
    """Return P(true rate > line) after `bad` of `seen`, remembered."""
    return beta_exceeds(line, bad, seen, prior.bad, prior.good)


def beta_exceeds(line: float, bad: float, seen: float, prior_bad: float, prior_good: float) -> float:
    """Return P(rate > line | bad of seen) under the prior Beta(prior_bad, prior_good).

    That is 1 - I_line(a, b), the regularised incomplete beta function, by the continued fraction of
    Abramowitz and Stegun 26.5.8 on the side where it converges fast.

    >>> round(beta_exceeds(0.2, 5, 5, 0.2, 3.8), 4)
    0.9929
    """
    a, b = prior_bad + bad, prior_good + max(seen - bad, 0.0)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(line) + b * math.log1p(-line)
    if log_front < -745:  # exp() would be 0: the line lies far out on one side of the mean
        return 1.0 if line * (a + b) < a else 0.0
    front = math.exp(log_front)
    if line * (a + b + 2) < a + 1:
        return min(max(1.0 - front * _continued_fraction(line, a, b) / a, 0.0), 1.0)
    return min(max(front * _continued_fraction(1.0 - line, b, a) / b, 0.0), 1.0)


def percent(probability: float) -> str:
    """Write a probability for a reader, never rounded up to certainty.

    >>> percent(0.9942), percent(0.99999), percent(0.005)
    ('99.4 %', 'over 99.9 %', '0.5 %')
    """
    if probability > 0.999:
        return "over 99.9 %"
    return f"{probability * 100:.1f}".removesuffix(".0") + " %"


def share(bad: float, seen: float) -> str:
    """Write counts for a reader, "7 of 9"; copies of one text count in part, and a reader who counts must know.

    >>> share(7, 9), share(5.21703, 5.21703)
    ('7 of 9', '5.2 of 5.2')
    """
    return f"{_amount(bad)} of {_amount(seen)}"


def copies(seen: float) -> str:
    """What explains a count that is not whole, "" for one that is (a suspect message is half a spam)."""
    return " (copies of a text count in part)" if seen % 1 else ""


def _amount(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Evaluate the fraction by Lentz's method; O(sqrt(max(a, b))) terms."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    value = d
    for m in range(1, 10_000):
        m2 = a + 2 * m
        term = m * (b - m) * x / ((m2 - 1.0) * m2)
        d = 1.0 + term * d
        c = 1.0 + term / c
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = c if abs(c) > tiny else tiny
        value *= d * c
        term = -(a + m) * (a + b + m) * x / (m2 * (m2 + 1.0))
        d = 1.0 + term * d
        c = 1.0 + term / c
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = c if abs(c) > tiny else tiny
        step = d * c
        value *= step
        if abs(step - 1.0) < 1e-10:
            return value
    return value
