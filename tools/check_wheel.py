"""Install the wheel into a fresh environment and use it there, outside the checkout: `python -m tools.check_wheel`.

The wheel is built with what requirements/build.txt locks, its dependencies are those that requirements/base.txt locks.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import sluice
from tools import newcomer, panel

ROOT = Path(__file__).resolve().parent.parent
PIP = ["-m", "pip", "--quiet", "--disable-pip-version-check"]


def main() -> int:
    """Build, install, start, sign in, count an event; the status is 1 where something is not as promised."""
    with tempfile.TemporaryDirectory(prefix="sluice-wheel-") as name:
        folder = Path(name)
        command = installed(folder)
        # A wheel knows nothing of the checkout: neither by its folder nor by the environment.
        elsewhere = {name: value for name, value in os.environ.items() if name not in {*panel.PLACES, "PYTHONPATH"}}
        surroundings = elsewhere | {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "share")}
        (folder / "logs").mkdir()

        def run(*arguments: str) -> str:
            return subprocess.run(
                [command, *arguments], cwd=folder, env=surroundings, check=True, capture_output=True, text=True
            ).stdout

        version = run("--version").strip()
        if version != sluice.__version__:
            raise newcomer.NotAsPromised(f"the wheel says that it is {version}")
        with panel.up(folder / "logs", [str(command), "up"], surroundings, folder) as running:
            newcomer.sign_in(running.url, running.operator, running.password)
            counted = newcomer.count_an_event(running.url, run)
        print(f"sluice {version}: installed, `sluice up` started, signed in, {counted} event counted.")
    return 0


def installed(folder: Path) -> Path:
    """Return the command `sluice` of a fresh environment that holds the wheel."""
    builder, home = folder / "builder", folder / "venv"
    for environment in (builder, home):
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python, user = builder / "bin" / "python", home / "bin" / "python"
    subprocess.run([python, *PIP, "install", "--require-hashes", "-r", ROOT / "requirements/build.txt"], check=True)
    wheel = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([python, *PIP, *wheel, ROOT], check=True)
    [built] = folder.glob("sluice-*.whl")
    subprocess.run([user, *PIP, "install", "--require-hashes", "-r", ROOT / "requirements/base.txt"], check=True)
    subprocess.run([user, *PIP, "install", "--no-index", built], check=True)
    return home / "bin" / "sluice"


if __name__ == "__main__":
    sys.exit(main())
