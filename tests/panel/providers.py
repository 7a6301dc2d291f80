"""Signing in by the OpenID provider of tests/oidc_provider.py."""

import pytest
from django.urls import reverse

from tests.oidc_provider import CLIENT_ID, SECRET, Key, Provider

INDEX, LOGIN = "/admin/", "/admin/login/"


@pytest.fixture(scope="module")
def running():
    with Provider() as found:
        yield found


@pytest.fixture
def provider(running, settings):
    running.key, running.forge, running.described, running.user_information = Key("first"), None, {}, {}
    running.asked, running.refused = [], []
    settings.SLUICE_OIDC_ISSUER = running.issuer
    settings.SLUICE_OIDC_CLIENT_ID, settings.SLUICE_OIDC_CLIENT_SECRET = CLIENT_ID, SECRET
    settings.SLUICE_OIDC_NAME = "Acme Login"
    settings.SLUICE_OIDC_ROLES = ["admins=superuser", "it=acme/operator", "bosses=acme/owner", "ops=group:Operations"]
    from panel.sign_in import provider as module

    module._known = None
    return running


def go(client, provider, *, start=None, **claims):
    """Go to the provider, sign in there, and come back."""
    sent = client.get(start or reverse("admin:single_sign_on"))
    assert sent.status_code == 302, sent
    return client.get(provider.sign_in(sent.headers["Location"], **claims))


def is_in(client):
    return client.get(INDEX).status_code == 200
