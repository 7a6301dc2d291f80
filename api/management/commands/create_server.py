"""`manage.py create_server ORG_PERMALINK NAME`: the same as the Servers API's create."""

from argparse import ArgumentParser
from typing import Any

from api.postal import parameters, serializers
from api.postal.servers import new_server
from core.commands import ActCommand
from servers.provisioning import create_server, find_organization
from stats.reports import queries

# As where the API is given no `top_pools_limit`.
TOP_POOLS = 5


class Command(ActCommand):
    help = "Create a server with its keys, or show the organization's server of that name if it exists."

    def add_act_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("organization", metavar="ORG_PERMALINK")
        parser.add_argument("name")
        parser.add_argument("--mode", type=str.capitalize, choices=list(parameters.MODES_BY_WORD), default="Live")

    def act(self, *, organization: str, name: str, mode: str, **options: Any) -> dict[str, Any]:
        owner = find_organization(organization)
        created = create_server(
            organization=owner,
            name=name,
            mode=parameters.MODES_BY_WORD[mode],
            ranked_pool_ids=queries.rank_pools(owner.pk)[:TOP_POOLS],
            actor=self.actor,
        )
        return serializers.NewServer().to_representation(new_server(created))

    def describe(self, outcome: dict[str, Any]) -> str:
        verb = "exists already" if outcome["already_exists"] else "was made"
        keys = f"  API key:  {outcome['api_key']}\n  SMTP key: {outcome['smtp_key']}"
        return f"The server {outcome['smtp_user']} {verb}.\n{keys}"
