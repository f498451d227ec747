"""The command `clip360` as tests run it: in this process, with any objects as arguments."""

from clip360.cli import main


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def error_of(capsys, *arguments: object) -> str:
    """The message with which the command fails: one line, without a traceback."""
    assert run(*arguments) == 1
    lines = [
        line for line in capsys.readouterr().err.splitlines() if line and "%|" not in line
    ]  # without progress bars
    assert len(lines) == 1, lines
    return lines[0]
