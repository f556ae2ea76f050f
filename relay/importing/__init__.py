"""What people bring along from another provider: suppression lists and accounts, as CSV."""
