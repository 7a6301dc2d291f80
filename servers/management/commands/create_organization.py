"""`manage.py create_organization NAME`: create an organization (tenant)."""

from argparse import ArgumentParser
from typing import Any

from django.utils import timezone

from core.commands import ActCommand
from servers.provisioning import create_organization


class Command(ActCommand):
    help = "Create an organization, which can use the platform's default pool."

    def add_act_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument(
            "--permalink", default="", help="Its name in SMTP users and host names. Derived from NAME by default."
        )
        parser.add_argument("--time-zone", default="UTC", help="An IANA time zone, such as Europe/Vienna.")
        parser.add_argument(
            "--allow-keyless-create",
            action="store_true",
            help="Allow servers/create for it without a key, as in Postal's curl example.",
        )

        parser.add_argument(
            "--require-second-factor",
            action="store_true",
            dest="requires_second_factor",
            help="Its people can do nothing in the panel before they have set up a second factor.",
        )

    def act(
        self,
        *,
        name: str,
        permalink: str,
        time_zone: str,
        allow_keyless_create: bool,
        requires_second_factor: bool,
        **options: Any,
    ) -> dict[str, Any]:
        organization = create_organization(
            at=timezone.now(),
            name=name,
            permalink=permalink,
            time_zone=time_zone,
            allow_keyless_create=allow_keyless_create,
            requires_second_factor=requires_second_factor,
            actor=self.actor,
        )
        return {"uuid": str(organization.uuid), "name": organization.name, "permalink": organization.permalink}

    def describe(self, outcome: dict[str, Any]) -> str:
        return f"The organization {outcome['name']} ({outcome['permalink']}) has the UUID {outcome['uuid']}"
