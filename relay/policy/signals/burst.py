"""Finds a burst of spam behind a clean history: CUSUM on the calibrated log odds of each message (Page 1954).

A sum per sender: each message adds log(p / (1 - p)) + DRIFT, at most CAP and at least CLEAN, and the sum never falls
below 0, so that thousands of clean messages are no credit. The alarm is at policy.burst_line (12). Copies of one text
are one piece of evidence and count less and less (trouble.py). It halves in HALF_LIFE_SECONDS, so that one misjudged
newsletter a week never adds up.

Why these numbers (a false positive adds CAP, the worst case; average run length = messages of an honest sender until a
wrong alarm, solved exactly from the Markov chain on multiples of 1/4; tests/relay/test_signals_burst.py does it again):
  false positives   0.22 % (measured at p >= 0.5)   1 %      2 %      5 %
  messages          1.5e13                          4.6e9    9.2e7    4.4e5
6,000 messages a month at 1 % are one wrong alarm in 770,000 sender-months, at 5 % one in 73. With CLEAN = -0.5 it
would be 94,000 messages at 5 %; with -1 a burst between twice as many clean messages would never be found.
A burst (recall .70 at p >= 0.9, .17 suspect, .13 missed; median, 95th percentile of spams until the alarm):
  share of spam in what is sent   100 %    80 %     50 %     33 %      25 %
  spams                           6, 9     7, 10    9, 15    14, 35    26, 85
whatever was sent before: the rate rule needs 74 behind 208 clean messages in its hour.
Bursty false positives: one newsletter misjudged (p < 0.99) and sent as 500 copies adds at most 2 x CAP = 5, two
different ones at once 10: no alarm. A sure one (p >= 0.99, no false positive in 2,693) fires after 7 copies.
"""

import math

DRIFT = 1.5  # nothing moves at p = 0.18
CAP = 2.5  # reached at p = 0.73: five sure spams of different texts reach the line
CLEAN = -0.75
HALF_LIFE_SECONDS = 6 * 3_600.0

_CLEAN_BELOW = 1 / (1 + math.exp(DRIFT - CLEAN))  # p = 0.095: most mail, and no logarithm for it


def gain(score: float) -> float:
    """What a message of this probability of being spam adds.

    >>> gain(0.01), round(gain(0.5), 2), gain(0.999)
    (-0.75, 1.5, 2.5)
    """
    if score <= _CLEAN_BELOW:
        return CLEAN
    return CAP if score >= 1.0 else min(math.log(score / (1.0 - score)) + DRIFT, CAP)


def decayed(burst: float, seconds: float) -> float:
    """What is left of a sum after so long."""
    return burst * math.pow(0.5, max(seconds, 0.0) / HALF_LIFE_SECONDS)
