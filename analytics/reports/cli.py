"""The commands `report` and `reply`."""

import json
import sys
from pathlib import Path

import click


@click.group()
def report() -> None:
    """Mail from outside: say what bounces, complaints and reports are."""


@report.command("parse")
@click.option("--raw", is_flag=True, help="Read one mail from stdin instead of file names.")
def parse(raw: bool) -> None:
    """Read file names on stdin, one a line; print one JSON object a line: what each file is.

    What cannot be read is an object too, of kind "invalid" with a reason, so that lines and files stay in step.
    """
    from analytics.reports.reading import read
    from analytics.reports.report import Refused

    if raw:
        _show(read(sys.stdin.buffer.read()))
        return
    for line in sys.stdin:
        try:
            content = Path(line.rstrip("\n")).read_bytes()
        except (OSError, ValueError) as error:
            _show(Refused("file", getattr(error, "strerror", None) or str(error)))
            continue
        _show(read(content))


@click.group()
def reply() -> None:
    """Replies of other servers: say what they mean."""


@reply.command()
def classify() -> None:
    """Read replies on stdin, one a line, as text or as a JSON string; print one JSON object a line."""
    from analytics.reports.verdict import coarse, judge

    for line in sys.stdin:
        text = line.strip()
        if text.startswith('"'):
            try:
                text = str(json.loads(text))
            except ValueError:
                pass  # a reply that begins with a quote
        outcome = judge(text, "", not text.startswith("4"))
        print(
            json.dumps(
                {
                    "category": coarse(outcome),
                    "class": outcome.category,
                    "rule": outcome.rule,
                    "confidence": round(outcome.confidence, 3),
                    "hard": outcome.is_hard,
                }
            )
        )


@reply.command()
@click.argument("lines", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where the table goes.")
def train(lines: tuple[Path, ...], out: Path) -> None:
    """Train the text model of replies from its examples and from LINES (JSON Lines: text, category, licence)."""
    from analytics.reports.reply_training import examples, lines_of
    from analytics.reports.reply_training import train as table_of

    learnt = examples()
    for path in lines:
        learnt += lines_of(path)
    table = table_of(learnt)
    out.write_text(json.dumps(table, ensure_ascii=False, separators=(",", ":"), sort_keys=True) + "\n", "utf-8")
    click.echo(f"{len(learnt)} replies, {len(table['categories'])} categories, {len(table['weights'])} words: {out}")


def _show(found: object) -> None:
    from analytics.reports.report import Report

    one: Report = found  # type: ignore[assignment]
    print(json.dumps({"kind": one.kind, **one.fields()}, ensure_ascii=False))
