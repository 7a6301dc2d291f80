"""`sluice …` and `python -m sluice …`: every command of manage.py, and the processes of an installation.

sluice up                 all of Sluice in one terminal, with SQLite
sluice web|worker|beat    one process; what follows is handed on to gunicorn or celery
sluice secrets            new secrets, as lines of an environment file
sluice COMMAND …          a command of manage.py
"""

import os
import sys
from pathlib import Path
from typing import NoReturn

import sluice
from sluice.secrets import new_secrets

# gunicorn and celery by their module, and what they are given.
PROCESSES = {
    "web": ["gunicorn", "--config", "config/gunicorn.py", "config.wsgi"],
    "worker": ["celery", "--app", "config", "worker"],
    "beat": ["celery", "--app", "config", "beat"],
}
# Variables that name a folder, which is relative to where the command is called.
FOLDERS = ("SLUICE_DATA_DIR", "SLUICE_STATIC_ROOT", "PROMETHEUS_MULTIPROC_DIR")


def main() -> None:
    """Run the command; a process replaces this one."""
    name, *rest = sys.argv[1:] or ["help"]
    if name in {"--version", "version"}:
        sys.stdout.write(f"{sluice.__version__}\n")
        return
    if name == "secrets":
        sys.stdout.writelines(f"{line}\n" for line in new_secrets())
        return
    _place()
    if name in PROCESSES:
        _become(name, rest)
    if name == "up":
        # It starts the others, which find their modules in the folder where they are started.
        os.chdir(sluice.TREE)
    sys.path.insert(0, str(sluice.TREE))
    import manage

    manage.main()


def _place() -> None:
    """Settle where the data is, before the working directory changes."""
    for variable in FOLDERS:
        if value := os.environ.get(variable, "").strip():
            os.environ[variable] = str(Path(value).absolute())
    if sluice.IS_INSTALLED and not os.environ.get("SLUICE_DATA_DIR"):
        # Beside its code, an installed Sluice may not write, and an upgrade would remove the data.
        home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        os.environ["SLUICE_DATA_DIR"] = str(Path(home) / "sluice")


def _become(name: str, rest: list[str]) -> NoReturn:
    """Replace this process with one of the installation's."""
    os.chdir(sluice.TREE)
    if not os.environ.get("DATABASE_URL"):
        os.umask(0o077)
    module, *arguments = PROCESSES[name]
    if name == "worker" and not {"-c", "--concurrency"} & {word.partition("=")[0] for word in rest}:
        arguments += ["--concurrency", os.environ.get("WORKER_CONCURRENCY") or "2"]
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments, *rest])  # noqa: S606 - our own programs


if __name__ == "__main__":
    main()
