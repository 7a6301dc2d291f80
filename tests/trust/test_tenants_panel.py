"""The panel's half of the matrix: a foreign record's pages are those of a record that does not exist, by the same statements.

That nothing is read or changed there is held by tests/panel/test_permissions.py; this adds that nothing can be told either.
"""

import difflib
import re

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.panel.conftest import acme, globex, platform, sign_in
from tests.panel.test_permissions import OF_RECORDS, records_of
from tests.watched import digest

__all__ = ["acme", "globex", "platform"]

# Nobody's, and of as many digits whatever the foreign one has.
UNKNOWN = 5_000_000


def answered(client, method, url, pk):
    """Return what can be told of an answer, and its statements without literals; what was done is undone."""
    # What earlier answers still have to say is shown by the next page, a refusal's too.
    client.cookies.pop("messages", None)
    with transaction.atomic():
        with CaptureQueriesContext(connection) as captured:
            response = getattr(client, method)(url)
        transaction.set_rollback(True)
    text = re.sub(r'(csrfmiddlewaretoken" value="|nonce=")[^"]+', r"\1", response.content.decode())
    # Those of this answer: those of the answers before are still waiting to be shown.
    said = [str(each) for each in response.wsgi_request._messages._queued_messages]
    mask = lambda value: re.sub(rf"(?<=[/“]){pk}(?=[/”])", "<pk>", value)  # noqa: E731 - one expression, used twice
    statements = [re.sub(r"\b\d+\b|'(?:[^']|'')*'|s\d+_x\d+", "?", query["sql"]) for query in captured]
    return (
        response.status_code,
        mask(response.headers.get("Location", "")),
        mask(text),
        list(map(mask, said)),
    ), statements


def differences(foreign, unknown):
    """Return only what tells the two apart, line by line: a failure should say where to look."""
    lines = [
        [*map(str, answer[:2]), *answer[2].splitlines(), *answer[3], *statements]
        for answer, statements in (foreign, unknown)
    ]
    return [line for line in difflib.unified_diff(*lines, n=0, lineterm="") if line[:2] not in ("--", "++", "@@")][:6]


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["owner", "analyst"])
def test_panel_foreign_is_unknown(role, acme, globex, platform):
    client = sign_in(getattr(globex, role))
    client.get(reverse("admin:index"))
    records = records_of(acme)
    before = digest()
    told = []
    compared = 0
    for place in OF_RECORDS:
        if place.model not in records:
            continue
        for method in ("get", "post"):
            foreign = records[place.model].pk
            unknown = UNKNOWN + foreign
            answers = [
                answered(client, method, reverse(f"admin:{place.name}", args=[pk]), pk) for pk in (foreign, unknown)
            ]
            if answers[0] != answers[1]:
                told.append((place.name, method, differences(*answers)))
            compared += 1
    assert told == []
    assert compared > 100
    assert digest() == before
