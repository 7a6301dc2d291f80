"""One word for one thing, in the sidebar, titles and CSS; and no import circle within the panel."""

import ast
from pathlib import Path

from django.contrib import admin
from django.urls import reverse
from django.utils.text import capfirst

PANEL = Path(__file__).resolve().parents[2] / "panel"


def test_the_sidebar_and_the_title_of_a_list_use_the_same_words(platform, root):
    titles = {}
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        context = root.get(reverse(f"admin:{name}_changelist")).context
        active = [
            item["title"] for group in context["sidebar_navigation"] for item in group["items"] if item.get("active")
        ]
        titles[name] = (active, context["title"])
        assert active, f"{name} has no entry in panel/navigation.py: add it to a group of GROUPS"
        assert active == [capfirst(str(model._meta.verbose_name_plural))] == [context["title"]], name
    assert len(titles) > 20


def test_no_module_hides_an_import_of_the_panel_in_a_function():
    """An import within a function hides an import circle."""
    hidden = []
    for path in PANEL.rglob("*.py"):
        tree = ast.parse(path.read_text())
        at_the_top = {id(each) for each in tree.body}
        hidden += [
            f"{path.name}:{each.lineno}"
            for each in ast.walk(tree)
            if isinstance(each, ast.ImportFrom)
            and (each.module or "").startswith("panel")
            and id(each) not in at_the_top
        ]
    assert hidden == []


def test_there_is_one_vocabulary_of_css_classes():
    root = PANEL.parent
    files = [*(PANEL / "static").rglob("*.css"), *(root / "templates").rglob("*.html")]
    assert [path.name for path in files if "sl-" in path.read_text()] == []


def test_no_wording_of_django_is_left(acme, platform, root):
    """What its templates say: "Select server to change", "By suspended at: Empty", "yielded into no results"."""
    pages = [
        root.get(reverse("admin:servers_server_add")).content,
        root.post(reverse("admin:servers_server_add"), {}).content,
    ]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        pages += [root.get(reverse(name)).content, root.get(reverse(name), {"q": "nothing has this"}).content]
    for page in pages:
        for words in (b" to change<", b" to view<", b"By suspended at", b"Not empty", b"yielded", b"Please correct"):
            assert words not in page
