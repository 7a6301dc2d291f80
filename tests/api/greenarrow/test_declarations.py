"""A viewset declares what its actions take and answer, or is refused; a filtered list has the columns of the whole."""

from types import SimpleNamespace

import pytest
from django.core.exceptions import ImproperlyConfigured

from api.greenarrow.filters import Exact, GreenArrowFilterSet
from api.greenarrow.pagination import Rows
from api.greenarrow.routers import GreenArrowRouter
from api.greenarrow.serializers import VirtualMTASerializer, page
from api.greenarrow.views import GreenArrowViewSet, action
from core.names import fold
from ippools.models import VirtualMTA
from tests.api.greenarrow.conftest import SYSTEM
from tests.api.greenarrow.test_relay_servers import RELAY
from tests.words import relay_servers


def test_an_action_that_does_not_declare_its_answer_is_refused():
    class Pools(GreenArrowViewSet):
        answers = {"list": {}}

        def list(self, request):
            """List nothing."""

        @action(detail=False)
        def largest(self, request):
            """Show nothing."""

    with pytest.raises(ImproperlyConfigured, match=r"^Pools\.answers does not declare what 'largest' answers$"):
        GreenArrowRouter().add("pools", Pools)


def test_a_write_that_does_not_declare_its_body_is_refused():
    class Pools(GreenArrowViewSet):
        answers = {"create": {}}

        def create(self, request):
            """Create nothing."""

    with pytest.raises(ImproperlyConfigured, match=r"^Pools\.bodies does not declare the body of 'create'$"):
        GreenArrowRouter().add("pools", Pools)


def test_a_filtered_list_has_the_columns_of_the_whole(db):
    class Named(GreenArrowFilterSet):
        name = Exact("name_key", stored=fold)

    class Listed(GreenArrowViewSet):
        answers = {"list": page("virtual_mtas", VirtualMTASerializer())}
        filterset_class = Named

    for name in ("relay-1", "relay-2"):
        relay_servers.create({**RELAY, "name": name}, actor=SYSTEM)
    whole, filtered = (
        Listed(action="list", request=SimpleNamespace(path="/", query_params=query)).page_of(
            "virtual_mtas", Rows(VirtualMTA.objects.all(), {"type": "kind", "id": "pk", "name": "name"})
        )["virtual_mtas"]
        for query in ({}, {"name": "RELAY-2"})
    )
    assert [each["name"] for each in whole] == ["relay-1", "relay-2"]
    assert filtered == whole[1:]
