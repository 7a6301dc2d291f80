"""Whatever is posted to whatever page: an answer in words, never a crash."""

import pytest
from django.apps import apps
from django.db import transaction
from django.urls import reverse

from tests.panel.conftest import sign_in
from tests.panel.urls import addresses

pytestmark = pytest.mark.live

# Lists and files take no forms; two acts ask DNS, which has tests of its own.
NO_FORMS = (
    "_changelist", "_history", "_export", "_usage", "_export_rules", "_zone", "_check_now", "_check_identity",
)  # fmt: skip
FORMS = [place for place in addresses() if place.model and not place.name.endswith(NO_FORMS)]
HOSTILE = ["\x00", "-1", "9" * 400, "É" * 5_000, "2026-13-45"]


def fields_of(response):
    """Return the names of what the page's form asks for, and of the rows beside it."""
    context = response.context or {}
    adminform = context.get("adminform")
    form = adminform.form if adminform is not None else context.get("form")
    if form is None:
        return []
    names = []
    for name, field in form.fields.items():
        parts = len(getattr(field, "fields", ())) or 1
        names += [name] if parts == 1 else [f"{name}_{number}" for number in range(parts)]
    for rows in (getattr(form, "rules", None), getattr(form, "overrides", None)):
        if rows is not None:
            names += [f"{rows.prefix}-0-{name}" for name in rows.empty_form.fields]
            names += [f"{rows.prefix}-{name}" for name in ("TOTAL_FORMS", "INITIAL_FORMS")]
    return names


@pytest.mark.parametrize("label", sorted({place.model for place in FORMS}))
def test_odd_values_are_no_crash(label, acme, globex, platform):
    for place in FORMS:
        if place.model == label:
            # Each form finds the cast whole: the making of it takes longer than the requests.
            with transaction.atomic():
                crashes = posted_to(place, sign_in(platform.superuser))
                transaction.set_rollback(True)
            assert crashes == []


def posted_to(place, client):
    """Post odd values to a place, and return which of them were a crash."""
    client.raise_request_exception = False
    record = apps.get_model(place.model)._default_manager.order_by("pk").first()
    url = reverse(f"admin:{place.name}", args=[record.pk] if place.has_record else [])
    names = fields_of(client.get(url))
    yes = {"_form_submitted": "on", "confirmed": "1", "add": "1"}
    posted = [{}, yes, *({**dict.fromkeys(names, hostile), **yes} for hostile in HOSTILE)]
    posted.append({name: ["1", "x"] for name in names})
    return [(url, data) for data in posted if client.post(url, data).status_code >= 500]
