"""Sign-in by an OpenID provider: forged tokens, answers of other sessions, and a provider that is odd or away."""

import base64
import hashlib
import hmac
import socket
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from django.contrib.sessions.models import Session
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from core.models import User
from panel.sign_in import provider as provider_module
from panel.sign_in.single_sign_on import LINK_WITHIN
from tests.oidc_provider import CLIENT_ID, SECRET, Key, document, encoded
from tests.panel.conftest import PASSWORD
from tests.panel.providers import INDEX, LOGIN, go, is_in, provider, running

__all__ = ["provider", "running"]

pytest.importorskip("authlib")
# The provider is a real server.
pytestmark = pytest.mark.server


def unsigned(claims):
    return f"{document({'alg': 'none', 'typ': 'JWT'})}.{document(claims)}."


def signed_by_the_secret(claims):
    text = f"{document({'alg': 'HS256', 'typ': 'JWT'})}.{document(claims)}"
    return f"{text}.{encoded(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())}"


STRANGER = Key("first")
FORGED = {
    "unsigned": lambda key: unsigned,
    "signed by the client's secret": lambda key: signed_by_the_secret,
    "signed by another key of the same name": lambda key: STRANGER.sign,
    "another client's": lambda key: lambda claims: key.sign({**claims, "aud": "another"}),
    "another client's, with azp": lambda key: lambda claims: key.sign({**claims, "aud": "x", "azp": CLIENT_ID}),
    "another issuer's": lambda key: lambda claims: key.sign({**claims, "iss": "https://evil.example"}),
    "expired": lambda key: lambda claims: key.sign({**claims, "exp": int(time.time()) - 120}),
    "of the future": lambda key: lambda claims: key.sign({**claims, "nbf": int(time.time()) + 600}),
    "of another sign-in": lambda key: lambda claims: key.sign({**claims, "nonce": "another"}),
    "without nonce": lambda key: lambda claims: key.sign({k: v for k, v in claims.items() if k != "nonce"}),
    "without subject": lambda key: lambda claims: key.sign({k: v for k, v in claims.items() if k != "sub"}),
    "with an empty subject": lambda key: lambda claims: key.sign({**claims, "sub": " "}),
    "with a subject that is too long": lambda key: lambda claims: key.sign({**claims, "sub": "x" * 256}),
    "with a subject of another type": lambda key: lambda claims: key.sign({**claims, "sub": 1}),
    "no token": lambda key: lambda claims: "abc",
    "without token": lambda key: lambda claims: None,
    "altered": lambda key: lambda claims: _altered(key.sign(claims)),
}


def _altered(token):
    head, body, signature = token.split(".")
    more = base64.urlsafe_b64decode(body + "==").replace(b'"it"', b'"admins"')
    return f"{head}.{encoded(more)}.{signature}"


@pytest.mark.parametrize("kind", FORGED)
def test_it_rejects_a_token_that_is(kind, acme, provider):
    provider.forge = FORGED[kind](provider.key)
    client, before = Client(), User.objects.count()
    page = client.get(go(client, provider, groups=["it"]).headers["Location"])
    assert "did not succeed" in page.content.decode()
    assert not is_in(client)
    assert User.objects.count() == before


def test_a_key_that_was_changed_is_looked_up_again(acme, provider):
    go(Client(), provider, groups=["it"])
    provider.key = Key("second")
    client = Client()
    go(client, provider, groups=["it"])
    assert is_in(client)


def test_the_answer_belongs_to_the_session_that_asked_and_counts_once(acme, provider):
    victim, attacker = Client(), Client()
    sent = attacker.get(reverse("admin:single_sign_on"))
    back = provider.sign_in(sent.headers["Location"], groups=["it"])
    # The attacker's answer in the victim's browser: without a question, and with one of its own.
    assert victim.get(back).headers["Location"] == LOGIN
    victim.get(reverse("admin:single_sign_on"))
    victim.get(back)
    assert not is_in(victim)
    assert attacker.get(back).status_code == 302
    assert is_in(attacker)
    again = Client()
    again.cookies = attacker.cookies
    assert again.get(back).headers["Location"] == LOGIN


def test_what_anybody_begins_stays_neither_long_nor_large(acme, provider):
    client = Client()
    sizes = []
    for _ in range(12):
        client.get(reverse("admin:single_sign_on"))
        sizes.append(len(Session.objects.get().session_data))
    # Authlib would keep each of them in the session for an hour.
    assert max(sizes) < 2 * sizes[0]
    assert Session.objects.get().expire_date <= timezone.now() + LINK_WITHIN
    # Whoever then signs in, by either way, is not signed out so soon.
    back = provider.sign_in(client.get(reverse("admin:single_sign_on")).headers["Location"], groups=["it"])
    client.get(back)
    assert is_in(client)
    assert client.session.get_expiry_age() > LINK_WITHIN.total_seconds()
    other = Client()
    other.get(reverse("admin:single_sign_on"))
    other.post(LOGIN, {"username": acme.operator.username, "password": PASSWORD})
    assert is_in(other)
    assert other.session.get_expiry_age() > LINK_WITHIN.total_seconds()


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?error=access_denied",
        "?code=x",
        "?state=x&code=y",
        "?code=%00&state=%ff",
        "?error=x&error_description=%3Cb%3E",
    ],
)
def test_odd_answers_do_no_harm(query, acme, provider):
    client = Client()
    client.get(reverse("admin:single_sign_on"))
    page = client.get(f"{reverse('admin:single_sign_on_callback')}{query}", follow=True)
    assert page.status_code == 200
    assert "did not succeed" in page.content.decode()
    assert not is_in(client)
    assert client.post(reverse("admin:single_sign_on_callback")).status_code == 405


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://evil.example"},
        {"authorization_endpoint": None},
        {"jwks_uri": None, "authorization_endpoint": None},
    ],
)
def test_a_provider_that_describes_itself_wrongly_is_not_used(described, acme, provider):
    provider.described = described
    client = Client()
    page = client.get(reverse("admin:single_sign_on"), follow=True)
    assert "did not succeed" in page.content.decode()
    provider.described = {}
    from panel.sign_in import provider as module

    if "issuer" not in described:
        module._known = None
    assert client.get(reverse("admin:single_sign_on")).headers["Location"].startswith(provider.issuer)


def test_a_provider_that_is_away_is_told(acme, provider, settings):
    settings.SLUICE_OIDC_ISSUER = "http://127.0.0.1:9/realms/mail"
    page = Client().get(reverse("admin:single_sign_on"), follow=True)
    assert "did not succeed. Try again, or use your password" in page.content.decode()


def test_it_leads_nowhere_else(acme, provider):
    start = f"{reverse('admin:single_sign_on')}?next=https://evil.example/"
    assert go(Client(), provider, start=start, groups=["it"]).headers["Location"] == INDEX


def test_wrong_client_secrets_are_told(acme, provider, settings):
    settings.SLUICE_OIDC_CLIENT_SECRET = "wrong"
    client = Client()
    page = client.get(go(client, provider, groups=["it"]).headers["Location"])
    assert "did not succeed" in page.content.decode()
    assert provider.refused == ["invalid_client"]


def test_a_provider_that_never_answers_takes_a_quarter_of_the_threads(acme, provider, settings, monkeypatch):
    """Who has no account can begin a sign-in, and so make a thread wait."""
    from panel.sign_in import provider as module

    monkeypatch.setattr(module, "TIMEOUT", 60)
    settings.SLUICE_WEB_THREADS = 8

    def begin():
        with pytest.raises(module.ProviderFault) as fault:
            module.begin(RequestFactory().get("/"), "http://testserver/")
        return "Too many requests" in str(fault.value)

    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(8) as pool:
        settings.SLUICE_OIDC_ISSUER = f"http://127.0.0.1:{silent.getsockname()[1]}"
        answers = as_completed([pool.submit(begin) for _ in range(8)])
        assert [next(answers).result() for _ in range(6)] == [True] * 6
        # The other two wait for a minute, or until the provider's end.
        silent.close()
        assert [each.result() for each in answers] == [False] * 2
    # The places are free again.
    settings.SLUICE_OIDC_ISSUER = provider.issuer
    client = Client()
    go(client, provider, groups=["it"], preferred_username="ina")
    assert is_in(client)


def test_an_answer_without_end_keeps_neither_memory_nor_a_thread(provider, db, monkeypatch):
    """The time-out was that of each read, and there was no bound of length."""
    monkeypatch.setattr(provider_module, "TIMEOUT", 1)
    written = []

    def blanks(size, pause):
        for _ in range(10_000):
            time.sleep(pause)
            written.append(size)
            yield b" " * size

    for size, pause in ((64 * 1024, 0), (1, 0.2)):
        provider.more = blanks(size, pause)
        began = time.monotonic()
        assert Client().get(reverse("admin:single_sign_on")).headers["Location"] == LOGIN
        # At its pace the second answer would take half an hour.
        assert time.monotonic() - began < 60
    assert sum(written) < 64 * 1024 * 1024
