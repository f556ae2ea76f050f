"""Addresses that behave on purpose: what an application may send to while it is being written, and nobody is reached.

Mail to the sandbox's domain goes the whole way of real mail, from the door to the queue; only the server that would
take it is played here, and nothing of it leaves the machine.
"""
