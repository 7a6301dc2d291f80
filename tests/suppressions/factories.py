"""Rows of suppressions, as the database takes them."""

import factory
from factory.django import DjangoModelFactory

from suppressions.models import BounceCount, Suppression, SuppressionList
from tests.factories import A_MOMENT, OrganizationFactory, ServerFactory


class SuppressionListFactory(DjangoModelFactory):
    class Meta:
        model = SuppressionList

    organization = factory.SubFactory(OrganizationFactory)


class SuppressionFactory(DjangoModelFactory):
    class Meta:
        model = Suppression

    organization = factory.SubFactory(OrganizationFactory)
    digest = factory.Sequence("{:064x}".format)
    masked = "r…r@gmail.com"
    reason = "manual"
    created_at = A_MOMENT
    number = factory.Sequence(lambda number: number + 1)


class BounceCountFactory(DjangoModelFactory):
    class Meta:
        model = BounceCount

    server = factory.SubFactory(ServerFactory)
    digest = factory.Sequence("{:064x}".format)
    bounces = 1
    bounced_at = A_MOMENT
