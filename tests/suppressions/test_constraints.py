"""What the tables of suppressions refuse."""

from core.encryption import encrypt
from suppressions.models import PlatformKey
from tests.factories import A_MOMENT, ServerFactory
from tests.refusals import Refusals
from tests.suppressions.factories import BounceCountFactory, SuppressionFactory, SuppressionListFactory

refusals = Refusals("suppressions")


@refusals.by("suppressions_platformkey_one")
def _():
    PlatformKey.objects.create(id=2, secret=encrypt("key"), created_at=A_MOMENT)


@refusals.by("suppressions_platformkey_not_empty")
def _():
    PlatformKey.objects.create(secret="", created_at=A_MOMENT)


@refusals.by("suppressions_suppressionlist_threshold")
def _():
    SuppressionListFactory(bounce_threshold=0)


@refusals.by("suppressions_suppressionlist_validity")
def _():
    SuppressionListFactory(valid_days=0)


@refusals.by("suppressions_suppressionlist_words")
def _():
    SuppressionListFactory(at_submission="hold")


@refusals.by("suppressions_suppressionlist_forgotten")
def _():
    SuppressionListFactory(number=1, forgotten=2)


@refusals.by("suppressions_suppression_of_server")
def _():
    server = ServerFactory()
    first = SuppressionFactory(server=server, organization=server.organization)
    SuppressionFactory(server=server, organization=server.organization, digest=first.digest)


@refusals.by("suppressions_suppression_of_organization")
def _():
    first = SuppressionFactory()
    SuppressionFactory(organization=first.organization, digest=first.digest)


@refusals.by("suppressions_suppression_number")
def _():
    first = SuppressionFactory()
    SuppressionFactory(organization=first.organization, number=first.number)


@refusals.by("suppressions_suppression_reason")
def _():
    SuppressionFactory(reason="whim")


@refusals.by("suppressions_suppression_expiry")
def _():
    SuppressionFactory(expires_at=A_MOMENT)


@refusals.by("suppressions_suppression_removed")
def _():
    SuppressionFactory(address=encrypt("bob@gmail.com"), removed_at=A_MOMENT)


@refusals.by("suppressions_suppression_not_empty")
def _():
    SuppressionFactory(masked="")


@refusals.by("suppressions_bouncecount_unique")
def _():
    first = BounceCountFactory()
    BounceCountFactory(server=first.server, digest=first.digest)


@refusals.by("suppressions_bouncecount_bounces")
def _():
    BounceCountFactory(bounces=0)


test_the_database_refuses = refusals.as_test()
