"""What the relay tells people by mail: decisions and failures, to whom (addressee), in which words (texts), how often
(sending, digest), and the way out that a notice offers (release_links, self_release)."""
