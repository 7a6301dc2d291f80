"""The rows of lists, which panel/templatetags/panel_list.py makes, are those that unfold would render."""

import pytest
from django.contrib import admin
from django.urls import reverse
from django.utils.safestring import mark_safe
from unfold.templatetags import unfold_list as unfolds

from core.audit import record
from ippools.models import IPAddress
from panel.templatetags import chart_rows, panel_list
from panel.templatetags.panel_list import cells, url_maker
from tests.panel.conftest import SYSTEM, sign_in


def lists():
    return {
        name.label_lower: page for name, page in ((model._meta, page) for model, page in admin.site._registry.items())
    }


def list_of(client, label, **query):
    return client.get(reverse(f"admin:{label.replace('.', '_')}_changelist"), query).context["cl"]


def compared(shown):
    """Return the cells of every row, as ours and as unfold's are."""
    url = url_maker(shown)
    rows = list(shown.result_list)
    ours = ["".join(cells(shown, each, url)) for each in rows]
    return ours, ["".join(unfolds.items_for_result(shown, each, None)) for each in rows]


@pytest.mark.django_db
def test_every_list_has_the_rows_of_unfold(acme, globex, platform, time_machine):
    """Both in one moment: some cells tell of the time since."""
    IPAddress.objects.filter(pk=platform.address.pk).update(hostname="<b>\"&'.example", delivery_paused=True)
    record(actor=SYSTEM, act="server.created", target=acme.server, after={"name": "<i>"})
    client = sign_in(platform.superuser)
    time_machine.move_to("2026-11-28T12:00:00Z", tick=False)
    with_rows = 0
    for label in lists():
        ours, theirs = compared(list_of(client, label))
        assert ours == theirs, label
        with_rows += bool(ours)
    assert with_rows >= 20


@pytest.mark.django_db
def test_links_keep_the_filters_of_the_list(platform):
    client = sign_in(platform.superuser)
    shown = list_of(client, "ippools.ipaddress", o="1", q="")
    ours, theirs = compared(shown)
    assert ours == theirs
    assert "_changelist_filters" in ours[0]


@pytest.mark.django_db
def test_a_list_to_choose_from_says_what_is_chosen(platform):
    ours, theirs = compared(list_of(sign_in(platform.superuser), "ippools.ipaddress", _popup="1"))
    assert ours == theirs
    assert f'data-popup-opener="{platform.address.pk}"' in "".join(ours)


def test_no_list_has_what_its_rows_do_not_know():
    for label, page in lists().items():
        has = {
            "edited rows": page.list_editable,
            "opened rows": getattr(page, "list_sections", ()),
            "rows in an order of hand": getattr(page, "ordering_field", None),
            "actions of a row": getattr(page, "actions_row", ()),
        }
        assert not any(has.values()), (label, has)


def test_labels_are_escaped_once_whatever_came_before():
    page = panel_list._label_of
    assert "&lt;b&gt;" in page("<b>", "—", {})
    assert "<b>" in page(mark_safe("<b>"), "—", {})
    assert "&lt;b&gt;" in page("<b>", "—", {})


def test_the_table_of_a_chart_is_escaped_and_numbers_have_separators():
    rows = [
        {"label": "1 <Nov>", "values": [0, 999, 1234567], "share": "94 %"},
        {"label": "2 Nov", "values": [1], "share": ""},
        {"label": "3 Nov", "texts": ["<b>", "–"]},
    ]
    cell = '<td class="panel-number">{}</td>'.format
    assert chart_rows.chart_rows(rows).split("\n") == [
        f'<tr><th scope="row">1 &lt;Nov&gt;</th>{cell(0)}{cell(999)}{cell("1,234,567")}{cell("94 %")}</tr>',
        f'<tr><th scope="row">2 Nov</th>{cell(1)}</tr>',
        f'<tr><th scope="row">3 Nov</th>{cell("&lt;b&gt;")}{cell("–")}</tr>',
    ]
