"""The part of the tree an asker may see, as a condition on rows that have an account and a reseller."""

from relay.tree import Scope


def within(scope: Scope, account: str = "") -> tuple[str, dict[str, str]]:
    """SQL and its parameters; `account` narrows the scope further.

    >>> within(Scope(reseller="north"), "acme")
    ('reseller = $of_reseller AND account = $narrowed', {'of_reseller': 'north', 'narrowed': 'acme'})
    """
    wanted = {
        "of_reseller": ("reseller", scope.reseller),
        "of_account": ("account", scope.account),
        "narrowed": ("account", account),
    }
    known = {name: (column, value) for name, (column, value) in wanted.items() if value}
    sql = " AND ".join(f"{column} = ${name}" for name, (column, _) in known.items())
    return sql or "true", {name: value for name, (_, value) in known.items()}
