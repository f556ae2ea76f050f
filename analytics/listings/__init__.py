"""What DNS lists say of our addresses and our customers' domains: asked (asking, health, rounds), and what follows
(quarantine, culprits)."""
