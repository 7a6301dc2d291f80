"""One word for one thing, in the sidebar, titles and CSS; and no import circle within the panel."""

import ast
import html
import re
from pathlib import Path

from django.apps import apps
from django.contrib import admin
from django.urls import reverse
from django.utils.text import capfirst

from ippools.models import IPAddress
from nodes.models import Node
from panel.navigation import GROUPS, SITE_PAGES, title_of
from panel.next_steps import NEXT
from throttling.models import ThrottleProgram, ThrottlingTemplate, WarmUpPlan

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


def test_the_documentation_says_what_each_page_is_for():
    """In the order of the sidebar."""
    text = (PANEL.parent / "docs/panel.md").read_text().partition("\n## Pages\n")[2].partition("\n## ")[0]
    told = re.findall(r"^\| (.*?) ?\| (.+?) \| .+ \|$", text, re.MULTILINE)[2:]
    pages = [("", title) for _, title, _ in SITE_PAGES]
    pages += [(group, title_of(apps.get_model(label))) for group, entries in GROUPS for _, label in entries]
    missing, gone = [page for page in pages if page not in told], [page for page in told if page not in pages]
    assert (missing, gone) == ([], []), (
        "add what is missing to the table of pages in docs/panel.md, take out what is gone"
    )
    assert told == pages


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


def test_every_page_that_adds_a_record_has_a_heading_and_says_what_comes_next(platform, root):
    for model, page in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_add"
        if not page.is_added:
            continue
        content = html.unescape(root.get(reverse(name)).content.decode())
        assert content.count(f"Add {model._meta.verbose_name}") >= 2, name
        assert NEXT[model._meta.label_lower] in content, name
        # Another way to the same page would be a way out of a form that is half filled in.
        assert f'href="{reverse(name)}"' not in content, name


def test_what_is_said_after_saving_is_in_our_words(acme, root):
    url = reverse("admin:servers_organization_change", args=[acme.organization.pk])
    response = root.post(url, {"name": "Acme 2", "permalink": "acme", "time_zone": "UTC"}, follow=True)
    assert [str(each).partition(" <a")[0] for each in response.context["messages"]] == [
        "The organization Acme 2 is saved."
    ]


def test_the_title_of_a_record_is_what_it_is_called_and_its_kind(acme, root):
    content = root.get(reverse("admin:servers_server_change", args=[acme.server.pk])).content.decode()
    title = " ".join(re.search(r"<title>(.*?)</title>", content, re.DOTALL)[1].split())
    assert title == "Acme server | Server | Sluice"


def test_records_without_a_history_of_their_own_offer_none(acme, platform, root):
    for page in admin.site._registry.values():
        if page.has_history or not (record := page.get_queryset(root.get(reverse("admin:index")).wsgi_request).first()):
            continue
        assert page.url_of(record.pk, "history") not in root.get(page.url_of(record.pk)).content.decode()
        assert root.get(page.url_of(record.pk, "history")).status_code == 404


def test_what_there_is_not_is_not_found_in_the_panels_frame(root):
    response = root.get(reverse("admin:servers_server_change", args=[99_999]))
    assert (response.status_code, b"nav-sidebar" in response.content) == (404, True)


def test_the_audit_trail_counts_entries(acme, root):
    content = " ".join(root.get(reverse("admin:core_auditentry_changelist")).content.decode().split())
    assert re.search(r"\d+ entries", content)


def test_every_list_says_what_it_is_searched_for():
    assert [page for page in admin.site._registry.values() if page.search_fields and not page.search_help_text] == []


def test_what_is_never_deleted_says_why_and_has_no_button(platform, root):
    template = ThrottlingTemplate.objects.get(is_default=True)
    address = platform.address
    IPAddress.objects.filter(pk=address.pk).update(template=template)
    kept = (template, ThrottleProgram.objects.get(is_builtin=True), WarmUpPlan.objects.filter(is_builtin=True).first())
    for record in kept:
        page = admin.site._registry[type(record)]
        content = root.get(page.url_of(record.pk, "delete")).content.decode()
        assert f"{record} cannot be deleted" in content
        assert 'value="yes"' not in content
        assert page.url_of(record.pk, "delete") not in root.get(page.url_of(record.pk)).content.decode()
        root.post(page.url_of(record.pk, "delete"), {"post": "yes"})
        assert type(record).objects.filter(pk=record.pk).exists()
    content = root.get(admin.site._registry[ThrottlingTemplate].url_of(template.pk, "delete")).content.decode()
    assert reverse("admin:ippools_ipaddress_change", args=[address.pk]) in content


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


def way_of(response):
    """Return the parts of the way to a page, in its header."""
    found = re.findall(
        r'leading-5 min-w-0 truncate tracking-tight[^"]*">\s*(.*?)\s*</', response.content.decode(), re.DOTALL
    )
    return [html.unescape(each) for each in found]


def test_the_way_to_a_page_ends_with_its_own_name_in_its_own_case(platform, root):
    node = Node.objects.get(name="mta1")
    record = ["Nodes", "mta1"]
    for name in ("change", "history", "delete"):
        assert way_of(root.get(reverse(f"admin:nodes_node_{name}", args=[node.pk]))) == record, name
    assert way_of(root.get(reverse("admin:nodes_node_changelist"))) == ["Nodes"]
    assert way_of(root.get(reverse("admin:nodes_revision_publish"))) == ["Nodes", "Revisions", "Publish"]
    assert way_of(root.get(reverse("admin:ippools_ipaddress_add"))) == ["Addresses", "IP addresses", "Add IP address"]
