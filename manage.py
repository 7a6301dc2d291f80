#!/usr/bin/env python
"""Django's command-line utility for Sluice."""

import os
import sys


def main() -> None:
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
