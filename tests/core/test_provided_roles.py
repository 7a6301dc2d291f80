"""SLUICE_OIDC_ROLES: which groups of a provider give which roles."""

import pytest

from config import production
from core.provided_roles import BadRole, Rule, rules_of

ON = {"SLUICE_OIDC_ISSUER": "https://login.example.com/realms/mail", "SLUICE_OIDC_CLIENT_ID": "sluice"}


def test_it_works() -> None:
    pytest.importorskip("authlib")
    assert rules_of(["admins=superuser", "/mail/ops = group:Mail operations", "a=b=acme/owner"]) == (
        Rule("admins", is_superuser=True),
        Rule("/mail/ops", permissions="Mail operations"),
        Rule("a=b", organization="acme", role="owner"),
    )
    roles = "admins=superuser, ops=group:Operators,, it=acme/operator"
    assert list(production.refusals({**ON, "SLUICE_OIDC_ROLES": roles})) == []


@pytest.mark.parametrize(
    "entry",
    ["admins", "=superuser", "admins=", "admins=root", "it=acme", "it=acme/", "it=/owner", "it=acme/boss", "x=group:"],
)
def test_it_rejects(entry: str) -> None:
    with pytest.raises(BadRole):
        rules_of([entry])
    [sentence] = [each for each in production.refusals({**ON, "SLUICE_OIDC_ROLES": entry}) if "ROLES" in each]
    assert sentence.startswith("SLUICE_OIDC_ROLES: ")


@pytest.mark.parametrize(
    ("environment", "beginning"),
    [
        (
            {"SLUICE_OIDC_ISSUER": "http://login.example.com"},
            "SLUICE_OIDC_ISSUER must be the address of an OpenID provider",
        ),
        ({"SLUICE_OIDC_ISSUER": "login.example.com"}, "SLUICE_OIDC_ISSUER must be the address of an OpenID provider"),
        ({"SLUICE_OIDC_CLIENT_ID": ""}, "SLUICE_OIDC_CLIENT_ID is not set"),
        ({"SLUICE_OIDC_SCOPES": "profile email"}, "SLUICE_OIDC_SCOPES must have openid"),
    ],
)
def test_it_rejects_what_is_missing_or_unsafe(environment: dict[str, str], beginning: str) -> None:
    pytest.importorskip("authlib")
    [sentence] = production.refusals({**ON, **environment})
    assert sentence.startswith(beginning)


def test_it_rejects_an_installation_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.production.importlib.util.find_spec", lambda name: None)
    [sentence] = production.refusals(ON)
    assert sentence.endswith("needs the packages of requirements/oidc.txt: pip install 'sluice[oidc]'.")


def test_plain_http_stays_on_the_machine() -> None:
    pytest.importorskip("authlib")
    for host in ("127.0.0.1:8080", "localhost", "[::1]:8080"):
        assert list(production.refusals({**ON, "SLUICE_OIDC_ISSUER": f"http://{host}/realms/mail"})) == []
