"""Widgets, labels and rows of forms are what Django's and unfold's templates make of them."""

import re
import zoneinfo
from pathlib import Path

import pytest
import unfold
from django import forms
from django.forms.renderers import DjangoTemplates
from django.template import Context, engines
from django.urls import reverse
from django.utils.safestring import mark_safe

from ippools.models import IPAddress
from panel.forms import fields
from panel.forms.rendering import Renderer
from tests.panel.conftest import sign_in

MARKUP = mark_safe("<b>safe</b> &amp;")
ATTRIBUTES = {"class": "a b", "data-x": '"<&', "required": True, "disabled": False, "rows": 3, "x-on:click": MARKUP}
ODD = ["", "plain", "a \"b\" <c> & 'd'", mark_safe("<b>safe</b> &amp;"), 0, 12_345, None, True, "ü €", "\n first line"]
CHOICES = [("", "None"), (1, "One & <two>"), (12_345, 12_345), ("Group", [("a", "A"), ('"', MARKUP)])]
WIDGETS = [
    *(
        kind(ATTRIBUTES)
        for kind in (
            forms.TextInput, forms.NumberInput, forms.EmailInput, forms.URLInput, forms.PasswordInput, forms.HiddenInput,
            forms.DateInput, forms.TimeInput, forms.CheckboxInput, forms.Textarea,
        )
    ),
    forms.Select(choices=CHOICES), forms.SelectMultiple(choices=CHOICES), forms.RadioSelect(choices=CHOICES),
    forms.CheckboxSelectMultiple(choices=CHOICES), fields.text_input(spellcheck="false"), fields.url_input(),
    fields.text_area(), fields.number_input(), fields.select(),
]  # fmt: skip


def text(html: str) -> str:
    """Return markup without white space between elements, and its classes in one order."""
    found = re.sub(
        r"\s*(</?(?:div|select|option|optgroup|span|input|fieldset|a|button)\b[^>]*?)\s*>\s*", r"\1>", html.strip()
    )
    found = re.sub(r'class="([^"]*)"', lambda each: f'class="{" ".join(sorted(each[1].split()))}"', found)
    return re.sub(r"\s+", " ", found)


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("widget", WIDGETS, ids=lambda each: type(each).__name__)
def test_widgets(widget, value):
    if isinstance(widget, type(fields.select())):
        widget.choices = CHOICES
    written, rendered = (
        widget.render('n"ame', value, {"id": "id_<x>"}, each) for each in (Renderer(), DjangoTemplates())
    )
    assert text(written) == text(rendered)
    assert hasattr(written, "__html__")


def test_what_stands_beside_a_text_field_is_left_to_its_template():
    widget = fields.text_input()
    widget.prefix = "https://"
    context = widget.get_context("name", "x", {})
    context["widget"]["prefix"] = "https://"
    assert "https://" in Renderer().render(widget.template_name, context)


@pytest.mark.parametrize("value", [None, "", "UTC", "Europe/Berlin", "America/Port-au-Prince", "Etc/GMT+1", '"><b>'])
def test_time_zones(value):
    plain = fields.select()
    plain.choices = [(name, name.replace("_", " ")) for name in sorted(zoneinfo.available_timezones())]
    ours = fields.time_zone_field().widget
    written = ours.render("zone", value, {"id": "id_zone"})
    assert text(written) == text(plain.render("zone", value, {"id": "id_zone"}))
    assert ours.use_required_attribute(None) == plain.use_required_attribute(None)


class Form(forms.Form):
    """Labels and faults of every kind."""

    name = forms.CharField(label="A <name> & more", help_text="Of <b>people</b>", max_length=3)
    kind = forms.ChoiceField(choices=CHOICES, required=False)
    is_new = forms.BooleanField(label=MARKUP, required=False)


@pytest.mark.parametrize("data", [None, {}, {"name": "too <long>", "kind": "unknown"}])
def test_labels_and_faults(data):
    written, rendered = (Form(data, renderer=each) for each in (Renderer(), DjangoTemplates()))
    for ours, theirs in zip(written, rendered, strict=True):
        for render in (
            lambda field: field.label_tag(attrs={"class": "a", "data-x": "<"}, label_suffix=""),
            lambda field: field.legend_tag(),
            lambda field: str(field.errors),
            lambda field: field.errors.as_ul(),
            str,
        ):
            assert text(render(ours)) == text(render(theirs))
    assert text(str(written)) == text(str(rendered))


THEIRS = Path(unfold.__file__).parent / "templates/unfold/helpers/fieldset_row.html"
# What is posted, so that faults are shown.
PAGES = {
    "ippools_ipaddress": {"ipv4": "no address", "priority": "-1"},
    "servers_server": {"name": ""},
    "core_user": {"username": "<b>", "email": "no mail"},
    "throttling_throttlingtemplate": {},
    "servers_credential": {},
}


def compared(answer) -> int:
    """Compare each row of the page's form with unfold's, and return how many there are."""
    assert answer.status_code == 200
    engine = engines["django"].engine
    ours, theirs = engine.get_template("unfold/helpers/fieldset_row.html"), engine.from_string(THEIRS.read_text())
    rows = 0
    for fieldset in answer.context["adminform"]:
        lines = list(fieldset)
        for number, line in enumerate(lines):
            given = {**answer.context.flatten(), "line": line, "forloop": {"last": number == len(lines) - 1}}
            assert text(ours.render(Context(given))) == text(theirs.render(Context(given)))
        rows += len(lines)
    return rows


@pytest.mark.django_db
@pytest.mark.parametrize("page", PAGES)
def test_rows_of_a_page(page, root):
    add = reverse(f"admin:{page}_add")
    assert compared(root.get(add)) > 1
    assert compared(root.post(add, PAGES[page])) > 1


@pytest.mark.django_db
def test_rows_of_records(platform, acme, root):
    page = reverse("admin:ippools_ipaddress_change", args=[acme.address.pk])
    assert compared(root.get(page)) > 10
    # Those who may only look see values.
    assert compared(sign_in(acme.owner).get(page)) > 5


@pytest.mark.parametrize("shown", [(), ("show_save",), ("show_save", "show_save_and_add_another"), ("show_close",)])
@pytest.mark.parametrize("is_popup", [False, True])
def test_buttons_at_the_end_of_a_form(shown, is_popup):
    engine = engines["django"].engine
    ours = engine.get_template("admin/submit_line.html")
    theirs = engine.from_string((THEIRS.parents[2] / "admin/submit_line.html").read_text())
    context = {
        **dict.fromkeys(shown, True),
        "is_popup": is_popup,
        "opts": IPAddress._meta,
        "original": IPAddress(pk=7),
        "show_delete_link": "show_close" not in shown,
    }
    assert text(ours.render(Context(context))) == text(theirs.render(Context(context)))
