"""“1.000” is a thousand to half of Europe: no form takes it for one."""

import pytest
from django import forms
from django.contrib import admin
from django.db import models
from django.test import RequestFactory
from django.urls import reverse

from ippools.models import AddressCap
from panel.forms.fields import WholeNumber

AMBIGUOUS = ["1.000", "1.0", "1.", "1,000", "1 000", "1'000", "1e3"]


def test_it_works():
    assert [WholeNumber().clean(text) for text in ("1000", " 7 ", "0", "-1")] == [1000, 7, 0, -1]


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_it_rejects_what_may_be_another_number(text):
    with pytest.raises(forms.ValidationError, match="without separators"):
        WholeNumber().clean(text)


def subclasses(kind):
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def test_every_number_of_every_form_is_one(root):
    declared = {
        (form.__name__, name): field
        for form in subclasses(forms.BaseForm)
        if form.__module__.startswith("panel.")
        for name, field in getattr(form, "base_fields", {}).items()
        if isinstance(field, forms.IntegerField) and not field.widget.is_hidden
    }
    assert len(declared) >= 8
    assert {key for key, field in declared.items() if not isinstance(field, WholeNumber)} == set()


def test_every_number_of_a_record_is_one(root, platform):
    request = RequestFactory().get("/")
    request.user = platform.superuser
    found = {
        (model._meta.label, field.name): page.formfield_for_dbfield(field, request)
        for model, page in admin.site._registry.items()
        for field in model._meta.fields
        if isinstance(field, models.IntegerField) and field.editable and not field.choices
    }
    assert len(found) >= 10
    others = {key for key, field in found.items() if field is not None and not isinstance(field, WholeNumber)}
    assert others == set()


def test_a_cap_of_a_thousand_is_never_one_of_one(root, platform):
    given = {"address": platform.address.pk, "reason": "by hand, for a test", "max_messages_per_hour": "1.000"}
    response = root.post(reverse("admin:ippools_addresscap_add"), given)
    assert response.status_code == 200
    assert not AddressCap.objects.filter(reason=given["reason"]).exists()
    given["max_messages_per_hour"] = "1000"
    assert root.post(reverse("admin:ippools_addresscap_add"), given).status_code == 302
    assert AddressCap.objects.get(reason=given["reason"]).max_messages_per_hour == 1000
