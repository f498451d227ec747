"""The command `clip360`: the parser of its subcommands (``clip360.commands``), its exit status and its error messages."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version

from clip360.commands import card, check, compare, fetch_panoramas, leaderboard, score, score_shards, tune
from clip360.commands.options import separate_protocols
from clip360.memory import keep_memory

INTERRUPTED = 130  # the exit status of shells for a program that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (None: those of the process); returns the exit status.

    An error is one sentence on stderr and the status 1; wrong options end with argparse's usage and the status 2.
    """
    keep_memory()
    options = build_parser().parse_args(separate_protocols(sys.argv[1:] if arguments is None else arguments))
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print(options.on_interrupt, file=sys.stderr)
        return INTERRUPTED
    except (ValueError, RuntimeError, OSError) as error:
        print(error_message(error), file=sys.stderr)
        return 1


def error_message(error: Exception) -> str:
    """An error on one line; of an operating system's error its reason and file, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command, with a parser for each subcommand; ``run`` is what the subcommand calls."""
    parser = argparse.ArgumentParser(prog="clip360", description="CLIP on 360-degree panoramas.")
    parser.add_argument("--version", action="version", version=f"clip360 {version('clip360')}")
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (score, check, compare, score_shards, card, leaderboard, fetch_panoramas, tune):
        command.add_parser(subcommands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
