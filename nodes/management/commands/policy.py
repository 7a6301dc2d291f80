"""`manage.py policy diff|publish|rollback|show`: preview, publish, roll back and show policies of nodes."""

import datetime
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management import CommandError
from django.utils import timezone

from core.commands import ActCommand
from core.errors import NotFound
from core.names import fold
from nodes import preview, publishing
from nodes.document import document_of, wanted_by
from nodes.models import Node, Revision
from nodes.replay import replay as replayed


class Command(ActCommand):
    help = "Show what publishing would change, publish it, publish an earlier revision again, or write down a node's files."

    def add_act_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["diff", "publish", "rollback", "show"])
        parser.add_argument(
            "subject",
            nargs="?",
            default="",
            help="The number of a revision for `rollback`, the name of a node for `show`.",
        )
        parser.add_argument(
            "--replay",
            action="store_true",
            help="Replay the mail of the last seven days against the new limits (`diff`).",
        )
        parser.add_argument("--canary", default="", metavar="NODE", help="`publish` to this node first, as a canary.")
        parser.add_argument("--hold", type=int, default=900, metavar="SECONDS", help="The length of the trial.")
        parser.add_argument(
            "--margin",
            type=int,
            default=5,
            help="How many percentage points the accepted share can be below that of the other nodes.",
        )
        parser.add_argument(
            "--output", default="", metavar="DIR", help="The folder that `show` writes the node's files to."
        )

    def act(
        self,
        *,
        action: str,
        subject: str,
        output: str,
        replay: bool,
        canary: str,
        hold: int,
        margin: int,
        **options: Any,
    ) -> dict[str, Any]:
        if bool(subject) != (action in {"rollback", "show"}):
            raise CommandError(
                "`rollback` takes a revision, `show` the name of a node; `diff` and `publish` take nothing."
            )
        match action:
            case "diff":
                draft = publishing.read_draft()
                outcome = {"action": action, **preview.preview(draft).document()}
                if replay:
                    outcome["replay"] = [each.document() for each in replayed(draft, now=timezone.now())]
                return outcome
            case "publish":
                found = preview.preview_of_configuration()
                trial = _trial(canary, hold, margin) if canary else None
                revision = publishing.publish(actor=self.actor, now=timezone.now(), trial=trial)
                return {"action": action, **_published(revision), "nodes": found.document()["nodes"]}
            case "rollback":
                number = _number(subject)
                found = preview.preview_of_rollback(number)
                revision = publishing.roll_back(number=number, actor=self.actor, now=timezone.now())
                return {"action": action, **_published(revision), "nodes": found.document()["nodes"]}
            case _:
                return {"action": action, **_show(subject, output)}

    def describe(self, outcome: dict[str, Any]) -> str:
        if outcome["action"] == "show":
            return "\n".join(
                [
                    f"r{outcome['revision']} for {outcome['node']} ({outcome['kind']})",
                    *outcome["files"],
                    *_findings(outcome),
                ]
            )
        lines = []
        if outcome["action"] == "diff":
            lines.append(
                f"Publishing would create r{outcome['revision']}:"
                if outcome["nodes"]
                else "Nothing would change on any node."
            )
        else:
            lines.append(f"r{outcome['revision']} is published.")
        for node in outcome["nodes"]:
            lines += [
                "",
                f"{node['node']} ({node['kind']})",
                *(f"  {each}" for each in node["changes"]),
                *_findings(node),
            ]
            for text in node["files"].values():
                lines += [f"  {line}" for line in text.splitlines()]
        for each in outcome.get("replay", []):
            lines += ["", f"{each['node']}, replayed since {each['since']} from {each['from']}:"]
            lines += [f"  {line}" for line in each["summary"] or ["No hourly limit of this mail changes."]]
        return "\n".join(lines)


def _trial(name: str, hold: int, margin: int) -> publishing.Trial:
    if not (1 <= hold <= 30 * 86_400 and 0 <= margin <= 100):
        raise CommandError("--hold is from 1 second to 30 days, --margin from 0 to 100.")
    return publishing.Trial(frozenset({_node(name).pk}), datetime.timedelta(seconds=hold), margin)


def _node(name: str) -> Node:
    node = Node.objects.select_related("revision").filter(name_key=fold(name)).first()
    if node is None:
        raise NotFound(f"The node {name} could not be found")
    return node


def _number(text: str) -> int:
    plain = text.removeprefix("r")
    if not (plain.isascii() and plain.isdigit() and len(plain) < 18):
        raise CommandError(f"{text} is not the number of a revision.")
    return int(plain)


def _published(revision: Revision) -> dict[str, Any]:
    return {"revision": revision.number, "kind": revision.kind, "repeats": revision.repeats, "digest": revision.digest}


def _findings(document: dict[str, Any]) -> list[str]:
    return [f"  {each['fidelity'].replace('_', ' ')}: {each['message']}" for each in document["fidelity"]]


def _show(name: str, output: str) -> dict[str, Any]:
    now = timezone.now()
    publishing.publish_if_changed(now=now)
    node = _node(name)
    document = document_of(wanted_by(node, at=now))
    files = {**document["files"], **document["overlay"]["files"]}
    written = {path: text for path, text in files.items() if text is not None}
    if output:
        for path, text in written.items():
            target = Path(output) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    return {
        "revision": document["revision"],
        "digest": document["digest"],
        "node": document["node"],
        "kind": document["kind"],
        "overlay": document["overlay"]["number"],
        "files": sorted(written),
        "fidelity": document["fidelity"],
    }
