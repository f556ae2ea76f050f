"""Who comes in: sign-in, sessions, the identity provider, and who looks at a page."""
