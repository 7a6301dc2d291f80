"""Nodes that are silent, report an error or have not applied their revision, and a revision that was rolled back."""

import datetime
from typing import Any

from django.db.models import F
from django.db.models.fields.json import KeyTextTransform, KeyTransform

from alerts.asking import Answers, Question, Row
from alerts.items import Group, Item, lines
from alerts.links import change_url
from alerts.topics.look import MOMENT, Look
from core.audit import Actor
from core.models import AuditEntry
from nodes.models import Node, NodeReport, Publication, Revision
from nodes.progress import State, progress_of

# An agent fetches a revision as soon as it is published, and applies it within seconds; a new node is set up within the time.
BEHIND_AFTER = datetime.timedelta(minutes=5)
_FAILING = Group("bad", "node_failing", "nodes are silent or report an error", "nodes.node")
_BEHIND = Group("warn", "node_behind", "nodes have not applied the published revision", "nodes.node")
GROUPS = (_FAILING, _BEHIND)


def questions(look: Look) -> list[Question]:
    """Return what is asked: all nodes that have a revision, and the published revision; nothing of a tenant's."""
    if not look.scope.is_platform:
        return []
    nodes = Node.objects.usable(MOMENT).filter(revision__isnull=False)
    facts: dict[str, Any] = {name: F(name) for name in ("pk", "name", "last_used_at")}
    facts |= {"wanted": F("revision__number"), "wanted_at": F("revision__created_at")}
    facts |= {name: F(f"report__{name}") for name in ("at", "revision_applied", "error")}
    # Of what differs on the node, the first.
    facts["drift"] = KeyTextTransform("0", KeyTransform("drift", "report__body"))
    back = Publication.objects.filter(revision__kind=Revision.Kind.ROLLBACK)
    of_back = {"pk": F("revision_id")} | {name: F(f"revision__{name}") for name in ("number", "repeats", "actor_label")}
    return [Question("nodes", nodes, facts), Question("revision_rolled_back", back, of_back)]


def items(look: Look, answers: Answers) -> list[Item]:
    """Return the lines; one query where a revision was rolled back by itself."""
    failing: list[Item] = []
    behind: list[Item] = []
    for row in sorted(answers.get("nodes", ()), key=lambda each: str(each["name"])):
        found = _of_node(row, look.at)
        if found is not None:
            (failing if found.condition == "node_failing" else behind).append(found)
    return [
        *_few(failing, look.named, _FAILING),
        *_few(behind, look.named, _BEHIND),
        *(_rolled_back(row) for row in answers.get("revision_rolled_back", ())),
    ]


def _few(found: list[Item], named: int, group: Group) -> list[Item]:
    rows = [Row(len(found), {"item": item}) for item in found]
    return lines(rows, named=named, group=group, one=lambda row: row["item"])


def _of_node(row: Row, at: datetime.datetime) -> Item | None:
    """Return what is wrong with a node. What it is told by its row and report, `nodes.progress` says."""
    wanted_at = row.moment("wanted_at")
    node = Node(pk=row["pk"], name=row["name"], last_used_at=row.moment("last_used_at"))
    node.revision = Revision(number=row["wanted"])
    report = NodeReport(
        at=row.moment("at"),
        revision_applied=row["revision_applied"],
        error=row["error"] or "",
        body={"drift": [row["drift"]] if row["drift"] else []},
    )
    found = progress_of(node, report, at=at)
    url = change_url("nodes.node", row["pk"])
    is_behind = row["revision_applied"] != row["wanted"] and wanted_at is not None and wanted_at < at - BEHIND_AFTER
    match found.state:
        case State.SILENT:
            minutes = (at - found.seen_at) // datetime.timedelta(minutes=1) if found.seen_at else 0
            return Item("bad", "node_failing", f"Node {node.name} has been silent for {_lasting(minutes)}", "", url)
        case State.FAILING if found.error:
            return Item("bad", "node_failing", f"Node {node.name} reports an error", found.error[:500], url)
        case State.FAILING:
            text = f"Files of node {node.name} differ from its policy"
            return Item("bad", "node_failing", text, "; ".join(found.drift)[:500], url)
        case State.NEVER_SEEN if is_behind:
            return Item("warn", "node_behind", f"Node {node.name} has never reported", "Its agent is not running", url)
        case State.BEHIND if is_behind:
            applied = "none" if found.applied is None else f"r{found.applied}"
            text = f"Node {node.name} has not applied r{found.wanted}"
            return Item("warn", "node_behind", text, f"It applies {applied}", url)
    return None


def _lasting(minutes: int) -> str:
    """Return a duration in words that do not change with each evaluation."""
    if minutes < 60:
        return "some minutes"
    return f"{minutes // 60} hours" if minutes >= 120 else "an hour"


def _rolled_back(row: Row) -> Item:
    is_automatic = row["actor_label"] == Actor.system().label
    detail = "Automatic publication has stopped until a revision is published"
    if is_automatic:
        failures = AuditEntry.objects.filter(act="revision.trial_failed").order_by("-pk")
        entry = failures.values_list("after", flat=True).first() or {}
        detail = f"{entry['failure']}. {detail}" if entry.get("back_by") == row["number"] else detail
    by = "by itself" if is_automatic else f"by {row['actor_label']}"
    return Item(
        "warn" if is_automatic else "note",
        "revision_rolled_back",
        f"Revision r{row['repeats']} was published again as r{row['number']} {by}",
        detail,
        change_url("nodes.revision", row["pk"]),
    )
