#!/usr/bin/env python
"""Django's command-line utility for Sluice."""

import os
import sys

# The status of a command that SIGINT ended, as shells have it.
INTERRUPTED = 130


def main() -> None:
    """Run the command; one whose streams are closed, or that is interrupted, ends in a sentence too."""
    if sys.stdin is None:
        # As an empty one. It gets the descriptor of the closed one, which the database's file would have otherwise.
        sys.stdin = open(os.devnull)  # noqa: SIM115 - for as long as the command runs
    if sys.stdout is None:
        sys.exit("The standard output is closed. Nothing was done: what a command prints may be shown once.")
    try:
        run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Or Python would try again at its end, and tell of that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit("What reads the output has ended before the command.")


def run() -> None:
    if not os.environ.get("DATABASE_URL"):
        # The database and all else that is made under SLUICE_DATA_DIR is this user's alone.
        os.umask(0o077)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except ModuleNotFoundError as problem:
        sys.exit(
            f"The module {problem.name} is not installed here: run `make install`, then .venv/bin/python manage.py"
        )


if __name__ == "__main__":
    main()
