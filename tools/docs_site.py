"""Hooks of mkdocs.yml: pages that stand outside docs/, and an OpenAPI document with a page for each dialect."""

import copy
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "SECURITY.md": "SECURITY.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
}
# Where the paths of each dialect begin.
DIALECTS = {"postal": ("Postal's endpoints", "/api/v1/"), "greenarrow": ("GreenArrow's endpoints", "/ga/")}
# Links of a page: their target, and what stands before it.
_LINK = re.compile(r"(\]\()([^)#:\s]+)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete the table of contents."""
    config.nav = table_of_contents(config.nav or [], ROOT / "docs")
    return config


def table_of_contents(entries: list[Any], docs: Path) -> list[Any]:
    """Return the entries with files in the place of patterns; pages that none names come last in *Using it*."""
    complete = [expanded(entry, docs) for entry in entries]
    known = {page for entry in complete for page in named(entry)}
    others = [page for page in found("*.md", docs) if page not in known]
    for entry in complete:
        if isinstance(entry, dict) and "Using it" in entry:
            entry["Using it"] += others
    return complete


def expanded(entry: Any, docs: Path) -> Any:
    """Return an entry with files in the place of patterns, without those that its section names."""
    if not isinstance(entry, dict):
        return entry
    [(title, value)] = entry.items()
    if isinstance(value, list):
        beside = {page for each in value for page in named(each)}
        value = [
            page
            for each in value
            for page in (
                [one for one in found(each, docs) if one not in beside]
                if isinstance(each, str) and "*" in each
                else [expanded(each, docs)]
            )
        ]
    return {title: value}


def named(entry: Any) -> set[str]:
    """Return the pages of an entry."""
    if isinstance(entry, str):
        return {entry}
    return set().union(*(named(part) for part in (entry.values() if isinstance(entry, dict) else entry)))


def found(pattern: str, docs: Path) -> list[str]:
    """Return the pages that fit the pattern."""
    return [str(path.relative_to(docs)) for path in sorted(docs.glob(pattern))]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for source, name in PAGES.items():
        files.append(File.generated(config, name, content=from_the_root((ROOT / source).read_text())))
    document = openapi()
    for name, (title, beginning) in DIALECTS.items():
        page = f"# {title}\n\nMade from the code; an installation shows it at `/api/docs/` and serves it at `/api/schema/`."
        page += f'\n\n<swagger-ui src="{name}.yaml"/>\n'
        files.append(File.generated(config, f"openapi/{name}.md", content=page))
        part = yaml.safe_dump(only(document, beginning), sort_keys=False, allow_unicode=True)
        files.append(File.generated(config, f"openapi/{name}.yaml", content=part))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Lead links from docs/ to the root's pages to where the site has them."""
    return re.sub(r"\]\(\.\./(CHANGELOG|SECURITY|CONTRIBUTING)\.md", r"](\1.md", markdown)


def from_the_root(text: str) -> str:
    """Return a page of the root as one of docs/: links into docs/ are shorter, others to files of the code are words."""

    def moved(link: re.Match[str]) -> str:
        target = link[2]
        if not target.startswith("docs/"):
            return link[0]
        inside = target.removeprefix("docs/").rstrip("/")
        return link[1] + (f"{inside}/{FIRST[inside]}" if inside in FIRST else inside)

    return _LINK.sub(moved, text)


# The first page of folders that pages of the root link to.
FIRST = {"sources": "README.md", "models": "core.md", "decisions": "0001-one-command-runs-three-processes.md"}


def openapi() -> dict[str, Any]:
    """Return the document of all dialects."""
    with tempfile.TemporaryDirectory(prefix="sluice-docs-") as folder:
        environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}
        command = [sys.executable, "manage.py", "spectacular"]
        made = subprocess.run(
            command, cwd=ROOT, env=environment | {"SLUICE_DATA_DIR": folder}, check=True, capture_output=True, text=True
        )
    document: dict[str, Any] = yaml.safe_load(made.stdout)
    return document


def only(document: dict[str, Any], beginning: str) -> dict[str, Any]:
    """Return the document with the paths that begin so, and the components that they use."""
    part = copy.deepcopy(document)
    part["paths"] = {path: each for path, each in part["paths"].items() if path.startswith(beginning)}
    used: set[str] = set()
    waiting = references(part["paths"])
    while waiting:
        used |= waiting
        waiting = set().union(*(references(component(document, name)) for name in waiting)) - used
    for kind, components in part["components"].items():
        if kind != "securitySchemes":
            part["components"][kind] = {name: each for name, each in components.items() if f"{kind}/{name}" in used}
    return part


def references(value: object) -> set[str]:
    """Return the components that a part of the document refers to, as `schemas/Name`."""
    return set(re.findall(r"#/components/(\w+/[\w.-]+)", yaml.safe_dump(value)))


def component(document: dict[str, Any], name: str) -> object:
    kind, _, short = name.partition("/")
    return document["components"][kind][short]
