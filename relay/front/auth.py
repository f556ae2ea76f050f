"""Logins: verify a password, remember it for a while, and lock out who guesses.

The order in `check` matters. A lock comes first, so that a right guess during a lock learns nothing. A remembered
password comes before the bound on an address's guesses, so that whoever knows his password never notices who else
guesses from there. Passwords, and logins that failed, are kept here as keyed hashes only.
"""

import asyncio
import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from relay.clock import Clock
from relay.envelope import Credential
from relay.front.lockout import Lockout

VERIFIERS = 2  # at once; each takes 64 MiB and some 50 ms of a core
REMEMBER_SECONDS = 900
REMEMBERED = 10_000
PASSWORD_BYTES = 1_024  # a longer one is nobody's, and would only feed the hash function
