"""docs/reference/cli.md, written from the commands; and what a command line of the manual names that is not there."""

import shlex
from collections.abc import Iterator

import click

from relay.cli import mailweir

_HEAD = """# Commands
Written from the program by `python -m tests.test_docs`; do not edit by hand. `mailweir COMMAND --help` says the same.

All commands take `mailweir --config FILE COMMAND` (default: `$MAILWEIR_CONFIG`, else `./mailweir.toml`, else the
defaults). `--json` prints for programs. `--dry-run` says what would happen and changes nothing. A command that changed
something prints the line that undoes it, where one does. Exit code 0: done; 1: it failed, and one line says why; 2: it
was called wrongly.
"""
_EVERYWHERE = {"--help", "-h"}
_ENDS = {"|", "||", "&&", ";", ">", ">>", "<", "2>", "&", "2>&1"}


def commands_page() -> str:
    """Return the whole page: a chapter for each command, a section for each of its parts."""
    context = click.Context(mailweir, info_name="mailweir")
    names = mailweir.list_commands(context)
    contents = [f"- [{name}](#{name}): {_first_line(_of(mailweir, context, name))}" for name in names]
    chapters = [line for name in names for line in _chapter(_of(mailweir, context, name), name, context, 2)]
    return "\n".join([_HEAD, *contents, "", *chapters]).rstrip() + "\n"


def unknown(line: str) -> str:
    """Say what a command line names that does not exist; "" when all of it does. `line` begins with mailweir."""
    words = _words(line)
    command: click.Command = mailweir
    context = click.Context(mailweir, info_name="mailweir")
    path = ["mailweir"]
    for place, word in enumerate(words[1:], 1):
        if word.startswith("-"):
            if not _has_option(command, word.partition("=")[0]):
                return f"{' '.join(path)} has no option {word}"
        elif isinstance(command, click.Group) and not _is_value(command, words[place - 1]):
            if not word[0].islower() or not word.replace("-", "").isalnum():
                return ""  # a place holder: nothing behind it can be checked
            found = command.get_command(context, word)
            if found is None:
                return f"{' '.join(path)} has no command {word}"
            command = found
            path.append(word)
    return ""


def lacks(line: str) -> str:
    """Say which required option a whole command line leaves out; "" when none. Lines without an option only name."""
    words = _words(line)
    command: click.Command = mailweir
    context = click.Context(mailweir, info_name="mailweir")
    for word in words[1:]:
        found = command.get_command(context, word) if isinstance(command, click.Group) else None
        command = found or command
    given = {word.partition("=")[0] for word in words if word.startswith("-")} - _EVERYWHERE - {"--json"}
    needed = [one for one in command.params if isinstance(one, click.Option) and one.required]
    return ", ".join(one.opts[0] for one in needed if given and not given & set(one.opts))


def all_options() -> set[str]:
    """Return every option that some command has."""
    context = click.Context(mailweir, info_name="mailweir")
    return {name for command in _all(mailweir, context) for name in _options(command)} | _EVERYWHERE


def groups() -> dict[str, set[str]]:
    """Return the names of the commands that have parts, each with its parts' names."""
    context = click.Context(mailweir, info_name="mailweir")
    found = {name: _of(mailweir, context, name) for name in mailweir.list_commands(context)}
    return {name: set(one.list_commands(context)) for name, one in found.items() if isinstance(one, click.Group)}


def _words(line: str) -> list[str]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a quotation that ends on another line
        words = line.split()
    ends = [place for place, word in enumerate(words) if word in _ENDS or word.startswith((">", "|"))]
    return [word.rstrip(";),`") for word in words[: ends[0] if ends else None]]


def _of(group: click.Group, context: click.Context, name: str) -> click.Command:
    command = group.get_command(context, name)
    assert command is not None, name
    return command


def _all(command: click.Command, context: click.Context) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from _all(_of(command, context, name), context)


def _options(command: click.Command) -> set[str]:
    return {
        name for one in command.params if isinstance(one, click.Option) for name in (*one.opts, *one.secondary_opts)
    }


def _has_option(command: click.Command, name: str) -> bool:
    return name in _options(command) | _EVERYWHERE or name == "-"


def _is_value(command: click.Command, before: str) -> bool:
    """Tell whether the word after `before` is an option's value and no command."""
    options = [one for one in command.params if isinstance(one, click.Option) and not one.is_flag]
    return any(before in one.opts for one in options)


def _first_line(command: click.Command) -> str:
    return " ".join((command.help or "").strip().split("\n\n")[0].split())


def _chapter(command: click.Command, name: str, above: click.Context, depth: int) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=above)
    path = context.command_path.removeprefix("mailweir ")
    yield from (f"{'#' * min(depth, 4)} {path}", _text(command), "")
    if not isinstance(command, click.Group):
        yield from ("```", f"mailweir {path} {' '.join(command.collect_usage_pieces(context))}".rstrip(), "```", "")
    rows = [found for one in command.params if (found := one.get_help_record(context)) is not None and found[1]]
    if rows:
        yield from ("| option | meaning |", "|---|---|")
        yield from (f"| `{_cell(option)}` | {_cell(meaning)} |" for option, meaning in rows)
        yield ""
    if isinstance(command, click.Group):
        for part in command.list_commands(context):
            yield from _chapter(_of(command, context, part), part, context, depth + 1)


def _text(command: click.Command) -> str:
    paragraphs = (command.help or "").replace("\b", "").strip().split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
