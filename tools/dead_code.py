"""Finds dead code: functions, classes and methods that the product does not use.

A name is used where it stands a second time in the product, its templates or its tools. Tests do not count: what only they call
is dead too. Left out are names that a framework finds: what a decorator takes, methods that replace one of a base class, and
those of FOUND.
"""

import ast
import importlib
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = (
    "alerts",
    "api",
    "config",
    "core",
    "dnschecks",
    "ippools",
    "nodes",
    "panel",
    "servers",
    "stats",
    "suppressions",
    "throttling",
    "webhooks",
)
READ = (*PRODUCT, "agent", "sluice", "templates", "tools", "manage.py", "Procfile", "pyproject.toml", "Makefile")
READ_SUFFIXES = {".py", ".html", ".toml", ".js", ".json", ".sh", ""}
_WORD = re.compile(r"\w+")
# Decorators that do not register what they decorate.
_PLAIN = {
    "property",
    "cached_property",
    "classmethod",
    "staticmethod",
    "cache",
    "transaction.atomic",
    "atomic_act",
    "abstractmethod",
}
FOUND = re.compile(
    r"on_starting|on_exit|child_exit|post_worker_init"  # gunicorn's hooks
    r"|process_view"  # Django: what it calls a middleware for
    r"|db_for_read|db_for_write|allow_migrate"  # Django: a router is no subclass of anything
    r"|clean_\w+"  # Django: the check of one field of a form
    r"|has_\w+_permission"  # Unfold: the permission that an action names
    r"|to_url"  # Django: a path converter is no subclass of anything
    r"|save_m2m"  # Django: the admin calls it after a form's `save`
    r"|sendall|makefile"  # http.client: what it does with the socket that it is given
    r"|sendfile|gettimeout"  # gunicorn: likewise
)


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    words = Counter(word for path in _files(READ) for word in _WORD.findall(path.read_text(errors="replace")))
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in _files(PRODUCT)
        if path.suffix == ".py" and "migrations" not in path.parts
        for owner, name, line in _definitions(ast.parse(path.read_text()))
        if words[name] < 2 and not FOUND.fullmatch(name) and not _is_found(path, owner, name)
    ]
    print("\n".join(found) or "No dead code.")
    return 1 if found else 0


def _files(names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        top = ROOT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and path.suffix in READ_SUFFIXES and "__pycache__" not in path.parts:
                yield path


def _definitions(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Yield what modules and their classes define, each with the class that it belongs to ("": none) and its line."""
    owners: list[tuple[str, ast.Module | ast.ClassDef]] = [("", tree)]
    owners += [(node.name, node) for node in tree.body if isinstance(node, ast.ClassDef)]
    for owner, node in owners:
        for each in node.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                taken = {ast.unparse(one) for one in each.decorator_list} - _PLAIN
                if not taken and len(each.name) > 1 and not each.name.startswith("__"):
                    yield owner, each.name, each.lineno


def _is_found(path: Path, owner: str, name: str) -> bool:
    """Whether it is a method of a base class that is replaced, or a class whose base notes its subclasses."""
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if owner:
        return any(hasattr(base, name) for base in getattr(module, owner).__mro__[1:])
    bases = getattr(getattr(module, name), "__mro__", ())[1:]
    return any("_registry" in vars(base) or base.__name__ in _PLACED for base in bases)


# Bases of what Django finds by its place.
_PLACED = {"AppConfig", "BaseCommand"}

if __name__ == "__main__":
    sys.exit(main())
