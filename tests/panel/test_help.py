"""Help: the documentation within the panel, and which page tells of which."""

import re

import pytest
from django.conf import settings
from django.contrib import admin
from django.urls import reverse

from panel.help_pages import PAGES, TOLD_IN, rendered, url_for
from tests.panel.conftest import sign_in

URL = "/admin/help/"


@pytest.mark.parametrize("name", PAGES)
def test_each_page_is_shown_and_its_links_lead_somewhere(name, acme, subtests):
    content = sign_in(acme.analyst).get(URL, {"page": name}).content.decode()
    document = content[content.index("<article") : content.index("</article>")]
    assert "](" not in re.sub(r"<(pre|code).*?</\1>", "", document, flags=re.DOTALL), "a link was not read"
    for target in re.findall(r'href="([^"]+)"', document):
        with subtests.test(target):
            assert target.startswith(("https://", "#", "?page="))
            page, _, anchor = target.partition("#")
            if target.startswith("https://") or not anchor:
                continue
            shown = PAGES if not page else (page.removeprefix("?page="),)
            there = name if not page else shown[0]
            text = (settings.BASE_DIR / "docs" / f"{there}.md").read_text()
            assert f'id="{anchor}"' in rendered(text)


def test_it_begins_with_the_panel_and_there_are_no_others(acme):
    client = sign_in(acme.analyst)
    assert b'<h2 id="the-panel">' in client.get(URL).content
    assert client.get(URL, {"page": "../README"}).status_code == 404
    assert sign_in(None).get(URL).status_code == 302


def test_markup_of_a_document_is_text():
    shown = rendered("A <b>bold</b> `<i>` [x](javascript:alert(1)) [y](../servers/models.py) ![z](images/z.png)")
    assert shown == "<p>A &lt;b&gt;bold&lt;/b&gt; <code>&lt;i&gt;</code> [x](javascript:alert(1)) y </p>\n"


def test_what_differs_from_other_renderers():
    """Headings are below the page's own and can be led to; tables and code can be scrolled by keys."""
    table = ["| a | b |", "| - | - |", "| `x\\|y` | *z* |"]
    text = [
        "# A `b`",
        "",
        *table,
        "",
        "    code <",
        "",
        "```",
        "more",
        "```",
        "",
        "[c](glossary.md#pool) [d](https://d.example/)",
    ]
    assert rendered("\n".join(text)).replace("\n", "") == (
        '<h2 id="a-b">A <code>b</code></h2>'
        '<div class="panel-scroll" tabindex="0"><table class="panel-table">'
        '<thead><tr><th scope="col">a</th><th scope="col">b</th></tr></thead>'
        "<tbody><tr><td><code>x|y</code></td><td><em>z</em></td></tr></tbody></table></div>"
        '<pre tabindex="0">code &lt;</pre><pre tabindex="0">more</pre>'
        '<p><a href="?page=glossary#pool">c</a> <a href="https://d.example/" rel="noreferrer">d</a></p>'
    )


def test_every_page_leads_to_its_help(platform, root):
    models = [model._meta for model in admin.site._registry]
    assert set(TOLD_IN) <= {each.label_lower for each in models} | {each.app_label for each in models}
    assert set(TOLD_IN.values()) <= set(PAGES)
    content = root.get(reverse("admin:throttling_throttleprogram_changelist")).content.decode()
    assert 'href="/admin/help/?page=closed-loop"' in content
    assert url_for(None) == "/admin/help/?page=panel"
