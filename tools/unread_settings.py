"""Settings of config.settings that nothing reads: no library, nothing in the product, and not the settings themselves."""

import ast
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import django
from celery.app.defaults import NAMESPACES, flatten
from django.conf import global_settings, settings

from tools.dead_code import PRODUCT, ROOT

SETTINGS = ROOT / "config" / "settings.py"
# Libraries that find some of their settings by this beginning and a name.
PREFIXES = ("DJANGO_STRUCTLOG_",)
# Django's own that have no default: its backend of e-mails as files asks for it by name.
DJANGOS = {"EMAIL_FILE_PATH"}


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    of_celery = {f"CELERY_{name.upper()}" for name, _ in flatten(NAMESPACES)}
    ours = "\n".join(_texts(ROOT / name for name in PRODUCT))
    unread = [
        name
        for name in sorted(_names(SETTINGS, ast.Store) - _names(SETTINGS, ast.Load))
        if not hasattr(global_settings, name)
        and name not in of_celery | DJANGOS
        and not re.search(rf"\bsettings\.{name}\b|\"{name}\"", ours)
        and not _is_a_librarys(name)
    ]
    print("\n".join(f"config/settings.py: {name}: nothing reads it" for name in unread) or "Every setting is read.")
    return 1 if unread else 0


def _names(path: Path, context: type[ast.expr_context]) -> set[str]:
    """Return the settings that a module assigns, or reads."""
    nodes = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name))
    return {node.id for node in nodes if isinstance(node.ctx, context) and node.id.isupper()}


def _texts(folders: Iterator[Path]) -> Iterator[str]:
    for folder in folders:
        for path in folder.rglob("*.py"):
            if path != SETTINGS:
                yield path.read_text()


def _is_a_librarys(name: str) -> bool:
    """Tell whether a library that is installed as an application names it."""
    short = next((name.removeprefix(each) for each in PREFIXES if name.startswith(each)), name)
    asked = re.compile(rf"\b({name}|{short})\b")
    libraries = {app.partition(".")[0] for app in settings.INSTALLED_APPS} - {*PRODUCT, "django"}
    specs = (importlib.util.find_spec(each) for each in libraries)
    folders = (Path(spec.origin).parent for spec in specs if spec is not None and spec.origin)
    return any(asked.search(text) for text in _texts(folders))


if __name__ == "__main__":
    sys.exit(main())
