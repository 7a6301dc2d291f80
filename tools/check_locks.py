"""Checks the lock files: versions and hashes only, no index URLs, and every direct dependency."""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ADDRESS = re.compile(r"://|--(extra-)?index|--find-links|^-[if]\b", re.MULTILINE)
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
EXTRAS = ("otlp", "oidc", "s3")
# Which groups of pyproject.toml each lock holds besides the product's own dependencies.
GROUPS = {
    "base": [],
    **{extra: [] for extra in EXTRAS},
    "test": ["test", "build"],
    "dev": ["test", "build", "lint", "docs"],
    "browser": ["test", "build", "lint", "docs", "browser"],
}


def canonical(name: str) -> str:
    """Return a package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def faults(root: Path) -> Iterator[str]:
    """Yield a sentence for each fault of a lock."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    locks = {lock: [*project["project"]["dependencies"], *_of(project, groups)] for lock, groups in GROUPS.items()}
    extras = project["project"]["optional-dependencies"]
    for lock in locks.keys() - {"base"}:
        for extra in [lock] if lock in EXTRAS else EXTRAS:
            locks[lock] += extras[extra]
    # Tools, and nothing of the product.
    locks |= {name: _of(project, [name]) for name in ("build", "deploy")}
    for lock, wanted in locks.items():
        path = root / "requirements" / f"{lock}.txt"
        text = path.read_text()
        if ADDRESS.search(text):
            yield f"{path.name} contains a URL; regenerate it with `make lock`."
        if text.count("==") and len(PINNED.findall(text)) > text.count("--hash="):
            yield f"{path.name} contains a version without a hash; regenerate it with `make lock`."
        pinned = {canonical(name) for name in PINNED.findall(text)}
        for requirement in wanted:
            name = canonical(re.split(r"[\[<>=~!; ]", requirement, maxsplit=1)[0])
            if name not in pinned:
                yield f"{path.name} does not hold {name}, which pyproject.toml asks for; run `make lock`."


def _of(project: dict[str, Any], groups: list[str]) -> list[str]:
    """Return what the groups ask for."""
    return [each for group in groups for each in project["dependency-groups"][group]]


def main() -> int:
    """Print the faults."""
    found = list(faults(Path(__file__).resolve().parent.parent))
    print("\n".join(found) or "The lock files have versions and hashes, and no index URLs.")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
