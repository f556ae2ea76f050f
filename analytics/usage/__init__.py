"""What a month's mail came to, by reseller and account: what a hoster writes bills from."""
