"""The filters of the dialect's lists."""

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from servers.models import Domain
from throttling.domains import MAX_DOMAIN_LENGTH, NotADomain, domain_name


class DomainFilter(filters.FilterSet):
    """`domains/list`: by verification, and by a part of the name."""

    verified = filters.BooleanFilter(field_name="verified_at", lookup_expr="isnull", exclude=True)
    search = filters.CharFilter(method="containing")

    def containing(self, domains: QuerySet[Domain], _: str, text: str) -> QuerySet[Domain]:
        """Domains whose name contains the text; names are stored as lower-case A-labels."""
        if len(text) > MAX_DOMAIN_LENGTH:
            # Nobody's name does; SQLite does not look for more than some 50,000 characters.
            return domains.none()
        if not text.isascii():
            try:
                text = domain_name(text)
            except NotADomain:
                return domains.none()
        return domains.filter(name__contains=text.lower())
