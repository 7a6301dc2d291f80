"""`manage.py create_node NAME --kind KIND`: create a node and print its key once."""

from argparse import ArgumentParser
from typing import Any

from core.commands import ActCommand
from nodes.models import Node
from nodes.nodes import create_node


class Command(ActCommand):
    help = "Create a node with some IP addresses, and print its key, which is shown once."

    def add_act_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--kind", required=True, choices=Node.Kind.values, help="The MTA of the node.")
        parser.add_argument(
            "--address",
            dest="addresses",
            metavar="IP",
            action="extend",
            nargs="+",
            default=[],
            help="An IP address of the platform that is on this machine. Can be repeated.",
        )

    def act(self, *, name: str, kind: str, addresses: list[str], **options: Any) -> dict[str, Any]:
        made = create_node(name=name, kind=kind, addresses=addresses, actor=self.actor)
        return {"id": made.node.pk, "name": made.node.name, "kind": made.node.kind, "key": made.key}

    def describe(self, outcome: dict[str, Any]) -> str:
        return (
            f"The node {outcome['name']} ({outcome['kind']}) has the id {outcome['id']}.\n"
            f"Its key, shown only once: {outcome['key']}"
        )
