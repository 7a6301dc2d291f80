"""`manage.py export_zone DOMAIN`: print the DNS records that a domain must publish."""

from argparse import ArgumentParser
from typing import Any

from core.commands import ActCommand
from core.errors import Invalid, NotFound
from servers.dns_wanted import records_wanted
from servers.domains import normalized
from servers.models import Domain
from servers.zone_file import zone_file


class Command(ActCommand):
    help = "Print a domain's DNS records as a zone file (RFC 1035, 5), to load into a DNS server."

    def add_act_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="DOMAIN")
        parser.add_argument(
            "--server",
            default="",
            metavar="ORGANIZATION/SERVER",
            help="The server, by permalinks, where several servers have the domain.",
        )

    def act(self, *, name: str, server: str, **options: Any) -> dict[str, Any]:
        try:
            domains = Domain.objects.living().named(normalized(name)).select_related("server__organization")
        except Invalid:
            raise NotFound(f"The domain {name} could not be found") from None
        if server:
            organization, _, permalink = server.partition("/")
            domains = domains.filter(server__permalink=permalink, server__organization__permalink=organization)
        found = list(domains[:2])
        if not found:
            raise NotFound(f"The domain {name} could not be found")
        if len(found) > 1:
            raise NotFound(f"Several servers have {name}: give --server ORGANIZATION/SERVER")
        zone = zone_file(found[0].name, records_wanted(found[0]), is_checked=found[0].dns_checked_at is not None)
        return {"domain": found[0].name, "zone": zone}

    def describe(self, outcome: dict[str, Any]) -> str:
        return str(outcome["zone"])
