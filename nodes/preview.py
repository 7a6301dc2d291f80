"""Previews of a publication: effects, differences of files, and the fidelity report."""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from core.errors import NotFound
from nodes import texts
from nodes.models import Node, NodePolicy, Revision
from nodes.policy import documents
from nodes.policy.compilers import NoCompiler, compile_for
from nodes.policy.meaning import Difference, difference, sentences
from nodes.policy.model import Overlay, Policy
from nodes.publishing import Draft, policies_in, read_draft, rollback_draft

# Lines of a file's difference that are kept.
MOST_LINES = 2_000
REVISION_COMMENT = re.compile(r"\W+ Sluice revision \d+ ")


@dataclass(frozen=True, slots=True)
class NodePreview:
    """What changes on one node. `files` has a unified difference for each file that has another content."""

    node: str
    kind: str
    meaning: Difference
    files: Mapping[str, str]
    new_findings: tuple[Mapping[str, Any], ...]

    @property
    def kind_name(self) -> str:
        """The kind as pages name it."""
        return Node.Kind(self.kind).label

    @property
    def sentences(self) -> list[str]:
        """The effects as sentences."""
        return sentences(self.meaning)


@dataclass(frozen=True, slots=True)
class Preview:
    """What publishing would do: `number` is the revision's, `nodes` are those that would get another policy.

    Where only so many are compared, `more` names the others of these.
    """

    number: int
    based_on: int | None
    nodes: tuple[NodePreview, ...]
    unchanged: tuple[str, ...]
    more: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "revision": self.number,
            "based_on": self.based_on,
            "nodes": [
                {
                    "node": each.node,
                    "kind": each.kind,
                    "changes": each.sentences,
                    "files": dict(each.files),
                    "fidelity": [dict(finding) for finding in each.new_findings],
                }
                for each in self.nodes
            ],
            "unchanged": list(self.unchanged),
            **({"more": list(self.more)} if self.more else {}),
        }


def preview_of_configuration() -> Preview:
    """Return the preview of publishing the current configuration."""
    return preview(read_draft())


def preview_of_rollback(number: int) -> Preview:
    """Return the preview of publishing an earlier revision again; raises NotFound."""
    earlier = Revision.objects.filter(number=number).first()
    if earlier is None:
        raise NotFound(f"The revision {number} could not be found")
    return preview(rollback_draft(earlier))


def preview(
    draft: Draft, *, most: int | None = None, on_node: Callable[[int, int], None] = lambda done, total: None
) -> Preview:
    """Compare a draft with the newest revision: all nodes that change, or `most` of them by name.

    `on_node` is called after each with how many are done, and of how many.
    """
    held = {} if draft.based_on is None else policies_in(draft.based_on)
    changed = [pk for pk in draft.policies if pk not in held or held[pk].digest != draft.digests[pk]]
    unchanged = tuple(sorted(draft.policies[pk].node.name for pk in draft.policies.keys() - changed))
    shown, more = _shown({pk: draft.policies[pk].node.name for pk in changed}, most)
    stored = texts.load(digest for pk in shown if pk in held for digest in (held[pk].policy, *held[pk].files.values()))
    nodes = []
    for pk in shown:
        nodes.append(_of_node(draft.policies[pk], draft.number, held.get(pk), stored))
        on_node(len(nodes), len(shown))
    based_on = None if draft.based_on is None else draft.based_on.number
    return Preview(draft.number, based_on, tuple(nodes), unchanged, more)


def _shown(names: Mapping[int, str], most: int | None) -> tuple[list[int], tuple[str, ...]]:
    """Return the nodes to compare, and the names of the others."""
    if most is None or len(names) <= most:
        return list(names), ()
    ordered = sorted(names, key=lambda pk: names[pk])
    return ordered[:most], tuple(names[pk] for pk in ordered[most:])


def changes_of(revision: Revision, *, most: int | None = None) -> Preview:
    """Return what a published revision changed against the one before it, on all nodes or `most` of them by name."""
    before = Revision.objects.filter(number__lt=revision.number).order_by("-number").first()
    held = {} if before is None else policies_in(before)
    rows = policies_in(revision)
    changed = [pk for pk, row in rows.items() if pk not in held or held[pk].pk != row.pk]
    shown, more = _shown({pk: rows[pk].node_name for pk in changed}, most)
    stored = texts.load(
        digest
        for source in (held, rows)
        for pk in shown
        if pk in source
        for digest in (source[pk].policy, *source[pk].files.values())
    )
    nodes = []
    for pk in shown:
        policy = documents.from_json(stored[rows[pk].policy])
        files = {path: stored[digest].decode() for path, digest in rows[pk].files.items()}
        nodes.append(_compared(policy, files, rows[pk].fidelity, held.get(pk), stored))
    unchanged = tuple(sorted(row.node_name for pk, row in rows.items() if pk not in set(changed)))
    return Preview(revision.number, None if before is None else before.number, tuple(nodes), unchanged, more)


def _of_node(policy: Policy, number: int, held: NodePolicy | None, stored: Mapping[str, bytes]) -> NodePreview:
    numbered = replace(policy, revision=number)
    try:
        compiled = compile_for(numbered, Overlay())
    except NoCompiler:
        return _compared(numbered, {}, [], held, stored)
    return _compared(numbered, compiled.files, documents.findings_to_json(compiled.fidelity), held, stored)


def _compared(
    policy: Policy,
    files: Mapping[str, str],
    findings: list[dict[str, Any]],
    held: NodePolicy | None,
    stored: Mapping[str, bytes],
) -> NodePreview:
    before = None if held is None else documents.from_json(stored[held.policy])
    old = {} if held is None else {path: stored[digest].decode() for path, digest in held.files.items()}
    known = [] if held is None else held.fidelity
    return NodePreview(
        node=policy.node.name,
        kind=policy.node.kind,
        meaning=difference(before, policy),
        files={path: _unified(path, old.get(path, ""), files.get(path, "")) for path in sorted({*old, *files})
               if _content(old.get(path)) != _content(files.get(path))},
        new_findings=tuple(finding for finding in findings if finding not in known),
    )  # fmt: skip


def _content(text: str | None) -> str | None:
    """Return a file without its first line, where that is the comment with the revision."""
    return text.partition("\n")[2] if text is not None and REVISION_COMMENT.match(text) else text


def _unified(path: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"a/{path}", f"b/{path}", n=1, lineterm="")
    kept = []
    for line in lines:
        kept.append(line)
        if len(kept) == MOST_LINES:
            kept.append("… more lines differ")
            break
    return "\n".join(kept)
