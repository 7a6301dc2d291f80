"""core.names: one fold for both databases, and slugs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.names import PERMALINK_LENGTH, fold, numbered, slugify
from servers.models import Organization
from tests.factories import OrganizationFactory, ServerFactory


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
    ],
)
def test_what_people_read_as_one_name_is_one(one, other):
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"), [("İ", "I"), ("ı", "i"), ("mail", "maíl"), ("a b", "ab"), ("Mail", "Мail"), ("mail", "mail ")]
)
def test_different_names_stay_different(one, other):
    assert fold(one) != fold(other)


@given(st.text())
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
