"""The command `openapi`: the documents of the three APIs, without a running installation."""

import click


@click.command("openapi")
@click.argument("api", type=click.Choice(["control", "submission", "query"]))
def openapi(api: str) -> None:
    """Print the OpenAPI 3.1 document of an API, as JSON.

    The running listeners serve the same at /openapi.json: control 8025, query 8026, submission 8027.
    """
    import json

    match api:
        case "control":
            from relay.openapi.control import control_document
            from relay.openapi.rooms import all_tables

            found = control_document(all_tables())
        case "query":
            from analytics.serving.openapi import query_document
            from analytics.serving.tables import bare_table

            found = query_document(bare_table())
        case _:
            from relay.openapi.submission import submission_document

            found = submission_document()
    click.echo(json.dumps(found, indent=1, ensure_ascii=False))
