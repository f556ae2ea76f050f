"""What costs much and is not what tests test costs little where this is loaded: in tests and in what forks for them.

Passwords are hashed with little work; what a guess costs the shipped way is looked at in tests/relay/test_auth.py, in a
process of its own. What tests start loads the same modules again and again: they are compiled once, whatever the shell
says of it.
"""

import os
import sys

from argon2 import PasswordHasher

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_init = PasswordHasher.__init__
_init.__defaults__ = (1, 8, 1, *(_init.__defaults__ or ())[3:])  # rounds, KiB, lanes
