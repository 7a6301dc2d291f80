"""Messages for a workflow of Microsoft Teams ("When a Teams webhook request is received"): an Adaptive Card.

Texts stand in text runs, which Teams shows as they are: what a record is called makes no link and no heading.
"""

import json
from typing import Any

# A message may have 28 KiB: so many bytes of alerts leave room for the rest.
_MOST_BYTES = 24 * 1024
_TEXT_LENGTH, _DETAIL_LENGTH = 300, 400
COLORS = {"bad": "Attention", "warn": "Warning", "note": "Default"}


def card(title: str, subtitle: str, entries: list[tuple[str, str, str]], *, url: str = "") -> str:
    """Return a card: entries are a color, a line and what stands below it; `url` is where its button leads to."""
    body = [_block(title, size="Large", weight="Bolder"), _block(subtitle, isSubtle=True)]
    used = 0
    for place, (color, text, detail) in enumerate(entries):
        blocks = [
            _block(text[:_TEXT_LENGTH], weight="Bolder", color=color),
            _block(detail[:_DETAIL_LENGTH], isSubtle=True),
        ]
        used += len(_json(blocks).encode())
        if used > _MOST_BYTES:
            body.append(_block(f"And {len(entries) - place} more"))
            break
        body += blocks
    content: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    if url:
        content["actions"] = [{"type": "Action.OpenUrl", "title": "Open the panel", "url": url}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": content}
    return _json({"type": "message", "attachments": [attachment]})


def _block(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}


def _json(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
