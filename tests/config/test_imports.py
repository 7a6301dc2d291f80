"""The arrow of imports holds for foreign keys too, which name their target in a string that import-linter does not see.

Within an app, modules do not import each other in a circle.
"""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from django.apps import apps

ROOT = Path(__file__).resolve().parents[2]

ORDER = [
    "config", "panel", "api", "alerts", "nodes", "stats", "suppressions", "webhooks", "servers", "ippools", "throttling",
    "core",
]  # fmt: skip


def test_every_relation_points_along_the_arrow() -> None:
    against = [
        f"{model._meta.label}.{field.name} → {field.related_model._meta.label}"
        for label in ORDER
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
        for field in model._meta.get_fields()
        if field.is_relation
        and not field.auto_created
        and field.related_model is not None
        and field.related_model._meta.app_label in ORDER
        and ORDER.index(field.related_model._meta.app_label) < ORDER.index(label)
    ]
    assert against == []


def test_every_app_of_ours_is_in_the_order() -> None:
    ours = {config.label for config in apps.get_app_configs() if not config.path.count("site-packages")}
    assert ours == set(ORDER)


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(imports_of(modules())).prepare()
    except CycleError as circle:
        pytest.fail(f"A circle of imports: {' → '.join(circle.args[1])}")


def modules() -> dict[str, Path]:
    """Return our modules by name. Apps have no code in `__init__`; what stands there collects a package's names."""
    folders = [*ORDER, "dnschecks"]
    paths = [
        path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")) if "migrations" not in path.parts
    ]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imports_of(found: dict[str, Path]) -> dict[str, set[str]]:
    """Return what each module imports of the others, in functions too; imports for types alone do not count."""
    graph: dict[str, set[str]] = {}
    for name, path in found.items():
        tree = ast.parse(path.read_text())
        for_types = {
            id(node)
            for each in ast.walk(tree)
            if isinstance(each, ast.If) and ast.unparse(each.test) == "TYPE_CHECKING"
            for node in ast.walk(each)
        }
        wanted: set[str] = set()
        for node in ast.walk(tree):
            if id(node) in for_types:
                continue
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {f"{node.module}.{each.name}" for each in node.names}
                wanted |= {name if name in found else node.module for name in names}
            elif isinstance(node, ast.Import):
                wanted |= {each.name for each in node.names}
        graph[name] = (wanted & found.keys()) - {name}
    return graph
