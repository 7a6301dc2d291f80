"""Packs the node agent for a machine: one file that Python runs, its systemd unit, and Haraka's plug-in."""

import shutil
import zipfile
from pathlib import Path

import agent

SOURCE = Path(agent.__file__).parent
PROGRAM, UNIT, PLUGIN = "sluice_agent.py", "sluice-agent.service", "haraka"
# What Python runs in an archive.
_MAIN = "import sys\n\nimport sluice_agent\n\nsys.exit(sluice_agent.main(sys.argv[1:]))\n"
# Equal files make an equal archive, whenever they were written.
_DATE = (2020, 1, 1, 0, 0, 0)


def export_agent(folder: Path) -> list[Path]:
    """Write the agent into a folder, which is made where it is missing; return what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / PROGRAM
    with program.open("wb") as file:
        file.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(SOURCE.glob("*.py")):
                if path.name != "__init__.py":
                    _add(archive, path.name, path.read_text())
            _add(archive, "__main__.py", _MAIN)
    program.chmod(0o755)
    shutil.copyfile(SOURCE / UNIT, folder / UNIT)
    shutil.copytree(SOURCE / PLUGIN, folder / PLUGIN, dirs_exist_ok=True)
    return [program, folder / UNIT, *sorted((folder / PLUGIN).iterdir())]


def _add(archive: zipfile.ZipFile, name: str, text: str) -> None:
    archive.writestr(zipfile.ZipInfo(name, _DATE), text, zipfile.ZIP_DEFLATED)
