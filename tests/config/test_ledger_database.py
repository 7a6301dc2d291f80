"""The ledger's database is named in one place: nothing else in stats/ takes Django's default connection for it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

from stats.ledger.database import CONFIGURATION, LEDGER, OWN
from stats.router import LedgerRouter

ROOT = Path(settings.BASE_DIR)
APPS = ("agent", "alerts", "api", "config", "core", "nodes", "panel", "servers", "stats", "suppressions", "webhooks")
# Whose transactions are of the configuration alone: they write its records.
OF_CONFIGURATION = {
    "stats/programs.py", "stats/send_limits.py", "stats/warm_up.py",
    "stats/intake/delivery.py", "stats/intake/event_sources.py", "stats/intake/reply_rules.py", "stats/intake/tokens.py",
}  # fmt: skip
# The models of stats that are configuration. A new one must be in this set or in the ledger's.
CONFIGURATION_MODELS = {
    "stats.consumermark", "stats.eventsource", "stats.ingesttoken", "stats.provider", "stats.providerdomain",
    "stats.refusalcount", "stats.replyrule", "stats.reportedname", "stats.sourceactivity", "stats.sourcecount",
    "stats.sourcemapping", "stats.sourcesample", "stats.sourcestate", "stats.throttlebucket",
    "stats.throttlestate",
}  # fmt: skip
TABLES = {apps.get_model(label)._meta.db_table for label in LEDGER}


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text())


def test_each_model_is_the_ledgers_or_the_configurations() -> None:
    models = {model._meta.label_lower for model in apps.get_app_config("stats").get_models()}
    assert models == LEDGER | (CONFIGURATION_MODELS & models)
    assert not LEDGER & CONFIGURATION_MODELS


def test_no_foreign_key_leads_from_one_to_the_other() -> None:
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.get_fields():
            if field.is_relation and isinstance(field.related_model, type):
                sides = {each._meta.label_lower in LEDGER for each in (model, field.related_model)}
                assert len(sides) == 1, f"{model._meta.label}.{field.name}"


def test_the_router_sends_models_and_their_tables_to_the_same_database() -> None:
    router = LedgerRouter()
    for model in apps.get_models(include_auto_created=True):
        alias = OWN if model._meta.label_lower in LEDGER else CONFIGURATION
        assert router.db_for_read(model) == router.db_for_write(model) == alias
        made = [each for each in (OWN, CONFIGURATION)
                if router.allow_migrate(each, model._meta.app_label, model._meta.model_name)]  # fmt: skip
        assert made == [alias]


@pytest.mark.parametrize("name", ["connection", "DEFAULT_DB_ALIAS"])
def test_nothing_in_stats_takes_the_default_connection(name: str) -> None:
    found = [
        path
        for path, tree in modules("stats")
        if path != "stats/ledger/database.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.db"
        and name in {each.name for each in node.names}
    ]  # fmt: skip
    assert found == []


def test_a_transaction_in_stats_says_whose_it_is() -> None:
    """`atomic()` of stats.ledger.database, or `using=`; Django's own only where records of the configuration are written."""
    found = set()
    for path, tree in modules("stats"):
        of_calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "atomic" and ast.unparse(node.value) == "transaction":
                call = of_calls.get(id(node))
                if call is None or not any(each.arg == "using" for each in call.keywords):
                    found.add(path)
    assert found <= OF_CONFIGURATION, found - OF_CONFIGURATION


def test_only_stats_names_the_ledgers_tables_in_sql() -> None:
    """What names them elsewhere would run on whichever connection is at hand."""
    words = re.compile(rf"\b(?:FROM|INTO|UPDATE|JOIN)\s+\"?(?:{'|'.join(sorted(TABLES))})\b", re.IGNORECASE)
    others = [each for each in APPS if each != "stats"]
    found = [path for path, tree in modules(*others) for text in texts(tree) if words.search(text)]
    assert found == []


def test_sql_of_configuration_tables_says_its_database() -> None:
    """`storage.execute` and `delete` are of the ledger's unless told otherwise."""
    of_configuration = {apps.get_model(each)._meta.db_table for each in CONFIGURATION_MODELS & set(models_of_stats())}
    found = [
        (path, node.lineno)
        for path, tree in modules("stats")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"storage.execute", "storage.delete", "execute", "delete"}
        if any(table in text for text in texts(node) for table in of_configuration)
        if not any(each.arg == "using" for each in node.keywords)
    ]  # fmt: skip
    assert found == []


def models_of_stats() -> list[str]:
    return [model._meta.label_lower for model in apps.get_app_config("stats").get_models()]


def texts(tree: ast.AST) -> list[str]:
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
