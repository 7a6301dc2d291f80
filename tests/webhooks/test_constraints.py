"""What the tables of webhooks refuse."""

from tests.factories import A_MOMENT, CircuitFactory, DeliveryFactory, SigningKeyFactory
from tests.refusals import Refusals

refusals = Refusals("webhooks")


@refusals.by("webhooks.Delivery.uuid")
def _():
    DeliveryFactory(uuid=DeliveryFactory().uuid)


@refusals.by("webhooks_delivery_due")
def _():
    DeliveryFactory(state="delivered")


@refusals.by("webhooks_circuit_open")
def _():
    CircuitFactory(opened_at=A_MOMENT)


@refusals.by("webhooks.SigningKey.kid")
def _():
    SigningKeyFactory(kid=SigningKeyFactory().kid)


@refusals.by("webhooks_signingkey_not_empty")
def _():
    SigningKeyFactory(public_key="")


@refusals.by("webhooks_signingkey_order")
def _():
    SigningKeyFactory(expires_at=A_MOMENT)


test_the_database_refuses = refusals.as_test()
