"""The installable Sluice: its version, and the command `sluice`.

A wheel holds the applications in `sluice/app/`, as they stand at the top of a checkout, so that names such as `config` and
`core` do not become modules of everybody's Python.
"""

from pathlib import Path

# CHANGELOG.md, the wheel and the OpenAPI document have this one; `tests/config/test_version.py` compares them.
__version__ = "0.1.0"

_PACKAGED = Path(__file__).resolve().parent / "app"
IS_INSTALLED = _PACKAGED.is_dir()
# The folder of manage.py and of the applications.
TREE = _PACKAGED if IS_INSTALLED else _PACKAGED.parents[1]
