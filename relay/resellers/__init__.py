"""Resellers as a thing of their own: who answers for accounts, under which name, colours and hosts."""
