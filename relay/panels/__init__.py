"""Customers' servers and panels behind this relay: what is pasted there, with this relay's own names in it.

`pages` fills in the pages of docs/integrations, `kit` makes a folder of them, `cli` is the command `mailweir panel`.
"""
