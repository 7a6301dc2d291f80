"""core.names: one fold for both databases, and slugs."""

import datetime
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.channels import create_channel
from core import saved_filters
from core.audit import Actor
from core.errors import Invalid
from core.names import PERMALINK_LENGTH, fold, numbered, slugify, without_invisible
from core.texts import clean_name
from core.tokens import create_token
from core.users import make_user
from nodes.nodes import create_node
from servers.credentials import create_credential
from servers.models import Organization
from servers.pools import create_pool
from servers.provisioning import create_organization, create_server
from servers.webhooks import create_webhook
from stats.intake.event_sources import make_source
from stats.intake.tokens import make_ingest_token
from tests.factories import OrganizationFactory, ServerFactory, UserFactory


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ÉCLAIR", "éclair"),
        ("E\u0301clair", "éclair"),  # composed and decomposed
        ("Straße", "STRASSE"),
        ("ẞ", "ss"),  # the capital sharp s
        ("oﬃce", "OFFICE"),  # a ligature
        ("İstanbul", "i\u0307stanbul"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),  # the final sigma
        ("ＭＡＩＬ", "mail"),  # full-width
        ("Ⅷ", "viii"),
        ("№ 5", "no 5"),
        ("K", "k"),  # the Kelvin sign
        ("ﬀ", "FF"),
        ("Mailer\u200b", "Mailer"),
        ("\ufeffMailer", "Mailer"),
        ("Mai\u00adler", "Mailer"),
        ("Mailer\u3164", "Mailer"),  # a filler, which is a letter
        ("Mailer \ufe0f", "Mailer"),
        ("Mailer\u2800", "Mailer"),  # a blank, which is a symbol
        ("\u2800 Main\u2800pool", "Main pool"),
        ("Main  pool", "Main pool"),  # a page shows several blanks as one
        ("Main\u00a0 pool", "Main pool"),
        ("É\u2003 \u2800x", "é x"),
        ("\u2060 Mailer", "mailer"),
        ("e\u200d\u0301clair", "éclair"),  # what composes once the joiner is gone
        ("❤\ufe0f", "❤"),
        ("\U000e0041x", "x"),
    ],
)
def test_what_people_read_as_one_name_is_one(one, other):
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"), [("İ", "I"), ("ı", "i"), ("mail", "maíl"), ("a b", "ab"), ("Mail", "Мail"), ("mail", "mail ")]
)
def test_different_names_stay_different(one, other):
    assert fold(one) != fold(other)


# As derived in DerivedCoreProperties.txt, from what the standard library knows (Cf and names) and two short closed properties.
OTHER_IGNORABLE = {
    0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2065, 0x3164, 0xFFA0, *range(0xFFF0, 0xFFF9), *range(0xE0000, 0xE1000),
}  # fmt: skip
SHOWN_FORMATS = re.compile(r"ARABIC|SYRIAC|KAITHI|INTERLINEAR ANNOTATION|EGYPTIAN HIEROGLYPH")
ARABIC_LETTER_MARK = 0x061C


def is_ignorable(code):
    char = chr(code)
    name = unicodedata.name(char, "")
    if code in OTHER_IGNORABLE or "VARIATION SELECTOR" in name or code == ARABIC_LETTER_MARK:
        return True
    return unicodedata.category(char) == "Cf" and not SHOWN_FORMATS.match(name)


def test_the_characters_that_are_not_shown_are_those_of_unicode():
    dropped = {code for code in range(0x110000) if not without_invisible(chr(code))}
    assert dropped == {code for code in range(0x110000) if is_ignorable(code)}


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from(" \u200b\ufeff\u00ad\u034f\u0301\u3164"))))
def test_folding_again_changes_nothing(text):
    assert fold(fold(text)) == fold(text)


@given(st.text(), st.text(max_size=3))
def test_slugs_are_dns_labels(text, fallback):
    slug = slugify(text, fallback="x")
    assert 1 <= len(slug) <= PERMALINK_LENGTH
    assert slug.isascii()
    assert slug == slug.lower()
    assert not slug.startswith("-")
    assert not slug.endswith("-")
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert slugify(slug, fallback="x") == slug


def test_numbered_slugs_stay_within_their_length():
    assert numbered("mail", 1) == "mail"
    assert numbered("mail", 12) == "mail-12"
    assert numbered("x" * 63, 10) == "x" * 60 + "-10"
    # No two hyphens where the cut falls on one.
    assert numbered("x" * 60 + "-yz", 2) == "x" * 60 + "-2"


@pytest.mark.storage
@pytest.mark.django_db
@pytest.mark.parametrize("name", ["Éclair", "Straße", "Oﬃce", "İstanbul", "ＭＡＩＬ", "ΣΊΣΥΦΟΣ"])
def test_a_record_is_found_by_its_name_on_every_database(name):
    organization = OrganizationFactory(name=name)
    for asked in (name, name.upper(), name.lower(), name.casefold()):
        if fold(asked) == fold(name):
            assert Organization.objects.get(name_key=fold(asked)) == organization
    assert Organization.objects.values_list("name", "name_key").get() == (name, fold(name))


@pytest.mark.django_db
def test_invisible_characters_make_no_twins():
    organization = OrganizationFactory()
    made = [
        create_server(organization=organization, name=name, actor=Actor.system())
        for name in ("Mailer", "Mailer\u200b", "\ufeffMailer", "Mai\u00adler", "Mailer \u2060")
    ]
    assert [each.already_exists for each in made] == [False, True, True, True, True]
    assert {each.server.pk for each in made} == {made[0].server.pk}
    create_pool(organization=organization, name="Main", ips=["192.0.2.1"], actor=Actor.system())
    with pytest.raises(Invalid, match="has already been taken"):
        create_pool(organization=organization, name="Main\u200b", ips=["192.0.2.2"], actor=Actor.system())
    with pytest.raises(Invalid, match="is required"):
        clean_name("\u3164\ufe0f")
    make_user(username="operator", password="x", actor=Actor.system())
    with pytest.raises(Invalid, match="has already been taken"):
        make_user(username="operator\u3164", password="x", actor=Actor.system())


NOW = datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC)
# Those with a name that people write, which no list could show: their link could not be clicked.
NAMED = {
    "webhook": lambda name, **given: create_webhook(server=ServerFactory(), name=name, url="https://x.example/", **given),
    "node": lambda name, **given: create_node(name=name, kind="postfix", **given),
    "channel": lambda name, **given: create_channel(organization=None, kind="email", name=name, target="a@x.example", **given),
    "event source": lambda name, **given: make_source(name=name, format="postfix", **given),
    "ingest token": lambda name, **given: make_ingest_token(name=name, **given),
    "API token": lambda name, **given: create_token(user=UserFactory(), name=name, expires_at=None, at=NOW, **given),
    "saved filter": lambda name, actor: saved_filters.save(user=UserFactory(), page="servers.server", name=name, query=""),
    "credential": lambda name, **given: create_credential(server=ServerFactory(), kind="api", name=name, **given),
    "organization": lambda name, **given: create_organization(name=name, at=NOW, **given),
}  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize("name", ["\u200b", "\u3164 \u00ad", "\u2062", "\u2800"])
def test_no_name_shows_nothing(named, name):
    with pytest.raises(Invalid):
        NAMED[named](name, actor=Actor.system())
    assert NAMED[named](f"{name}A", actor=Actor.system())


@pytest.mark.storage
@pytest.mark.django_db
def test_a_new_name_has_a_new_key():
    organization = OrganizationFactory(name="Old")
    organization.name = "NEW"
    organization.save()
    organization.refresh_from_db()
    assert organization.name_key == "new"
    ServerFactory._meta.model.objects.bulk_create([ServerFactory.build(organization=organization, name="BULK")])
    assert organization.servers.get().name_key == "bulk"


@pytest.mark.storage
@pytest.mark.django_db
@pytest.mark.parametrize(
    "name", ["\ufdfa" * 200, "㌖㍇㌲㌠" * 50, "\U0002f81a" * 200], ids=["18-fold", "words", "astral"]
)
def test_the_longest_key_can_be_stored_and_found(name):
    # PostgreSQL indexes no more than 2,704 bytes of a row: 200 characters must not fold to more (after compression).
    organization = OrganizationFactory(name=name)
    assert Organization.objects.get(name_key=fold(name)) == organization
