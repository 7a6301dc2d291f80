"""core.refolding: names of before several blanks were one."""

import pytest

from core.names import fold
from core.refolding import refold
from servers.models import Server
from tests.factories import OrganizationFactory, ServerFactory

pytestmark = pytest.mark.django_db


def test_names_with_several_blanks_are_found_again_and_twins_told_apart():
    organization = OrganizationFactory()
    long = "x" * 190
    names = ("Alone   here", "Main pool", f"{long} pool 200", "Main@@pool", f"{long}@@pool 200")
    alone, first, longest, twin, long_twin = (ServerFactory(organization=organization, name=name) for name in names)
    others = ServerFactory(name="Main  pool")
    for server in (twin, long_twin):
        server.name = server.name.replace("@@", "  ")
    # As they were stored before.
    for server in (alone, others, twin, long_twin):
        Server.objects.filter(pk=server.pk).update(name=server.name, name_key=server.name.lower())
    refold(Server, using="default")

    tail = f" ({long_twin.pk})"
    shorter = f"{long}  pool 200"[: 200 - len(tail)]
    stored = {server.pk: (server.name, server.name_key) for server in Server.objects.all()}
    assert stored == {
        alone.pk: ("Alone   here", "alone here"),
        first.pk: ("Main pool", "main pool"),
        longest.pk: (f"{long} pool 200", f"{long} pool 200"),
        others.pk: ("Main  pool", "main pool"),
        twin.pk: (f"Main  pool ({twin.pk})", f"main pool ({twin.pk})"),
        long_twin.pk: (shorter + tail, fold(shorter + tail)),
    }
