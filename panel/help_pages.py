"""Help: pages of docs/ within the panel, and which of them tells of which page.

The documentation is Markdown that is ours; of it, what those pages use is rendered: headings, paragraphs, lists, tables, code,
emphasis and links. Everything is escaped first, so a page can hold no markup of its own.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify

from panel.site_mixin import SiteMixin

# What can be read, in the order of the list beside it.
PAGES = {
    "panel": "The panel",
    "glossary": "Glossary",
    "alerts": "Alerts",
    "closed-loop": "What acts by itself",
    "statistics": "Statistics",
    "replies": "Replies of receivers",
    "suppressions": "Suppressions",
    "webhooks": "Webhooks",
    "nodes": "Nodes",
    "agent": "The node agent",
    "postal": "Postal's API",
    "greenarrow": "GreenArrow's API",
    "operations": "Operations",
}
# Where pages of an app, or of one model, are told of; of the others, "panel".
TOLD_IN = {
    "alerts": "alerts",
    "nodes": "nodes",
    "suppressions": "suppressions",
    "webhooks": "webhooks",
    "servers.webhook": "webhooks",
    "stats": "statistics",
    "stats.replyrule": "replies",
    "throttling.throttleprogram": "closed-loop",
    "throttling.warmupplan": "closed-loop",
    "ippools.addresscap": "closed-loop",
    "ippools.addressdrain": "closed-loop",
    "ippools.warmup": "closed-loop",
}
_FENCE, _INDENT = "```", "    "
_ITEM = re.compile(r"^(?:[*-]|\d+\.) +")


class Help(SiteMixin):
    """What the panel's site adds to Django's for help."""

    def get_urls(self) -> list[URLResolver | URLPattern]:
        return [path("help/", self.admin_view(self.help), name="help"), *super().get_urls()]

    def help(self, request: HttpRequest) -> HttpResponse:
        """Show a page of the documentation; the first where none is asked for."""
        name = request.GET.get("page", "panel")
        if name not in PAGES:
            raise Http404
        text = (settings.BASE_DIR / "docs" / f"{name}.md").read_text(encoding="utf-8")
        context = {
            **self.each_context(request),
            "title": "Help",
            "pages": [(f"?page={each}", title, each == name) for each, title in PAGES.items()],
            "document": mark_safe("\n".join(_blocks(text.splitlines()))),  # noqa: S308 - escaped, piece by piece
        }
        request.current_app = self.name
        return TemplateResponse(request, "panel/help.html", context)


def url_for(opts: Any) -> str:
    """Return where the pages of a model are told of; None: those of the site."""
    name = "panel" if opts is None else TOLD_IN.get(opts.label_lower) or TOLD_IN.get(opts.app_label) or "panel"
    return f"{reverse('admin:help')}?page={name}"


def _blocks(lines: list[str]) -> Iterator[str]:
    """Yield the HTML of each block: a heading, code, a table, a list or a paragraph."""
    position = 0
    while position < len(lines):
        line = lines[position]
        if not line.strip():
            position += 1
            continue
        if line.startswith(_FENCE):
            end = _end(lines, position, lambda each: not each.startswith(_FENCE))
            yield _code(lines[position + 1 : end])
            end += 1
        elif line.startswith(_INDENT):
            end = _end(lines, position, lambda each: each.startswith(_INDENT) or not each.strip())
            yield _code([each.removeprefix(_INDENT) for each in lines[position:end]])
        elif line.startswith("|"):
            end = _end(lines, position, lambda each: each.startswith("|"))
            yield _table(lines[position:end])
        elif line.startswith("#"):
            end = position + 1
            yield _heading(line)
        else:
            end = _end(lines, position, lambda each: bool(each.strip()) and not each.startswith(("#", "|", _FENCE)))
            yield _text(lines[position:end])
        position = end


def _end(lines: list[str], position: int, goes_on: Callable[[str], bool]) -> int:
    """Return where a block ends: at the first line after its own first that is not of it."""
    return next((at for at in range(position + 1, len(lines)) if not goes_on(lines[at])), len(lines))


def _code(lines: list[str]) -> str:
    return f'<pre tabindex="0">{escape("\n".join(lines).rstrip())}</pre>'


def _heading(line: str) -> str:
    marks, _, title = line.partition(" ")
    level = min(len(marks) + 1, 6)
    return f'<h{level} id="{slugify(title)}">{_inline(title)}</h{level}>'


def _text(lines: list[str]) -> str:
    """Return a list or a paragraph."""
    return _list(lines) if _ITEM.match(lines[0]) else f"<p>{_inline(' '.join(lines))}</p>"


def _table(lines: list[str]) -> str:
    rows = [[each.strip() for each in re.split(r"(?<!\\)\|", line.strip().strip("|"))] for line in lines]
    head = "".join(f'<th scope="col">{_inline(each)}</th>' for each in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{_inline(each)}</td>' for each in row)}</tr>" for row in rows[2:])
    return (
        '<div class="panel-scroll" tabindex="0"><table class="panel-table">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _list(lines: list[str]) -> str:
    items: list[list[str]] = []
    for line in lines:
        if _ITEM.match(line) or not items:
            items.append([_ITEM.sub("", line)])
        else:
            items[-1].append(_ITEM.sub("", line.strip()))
    kind = "ol" if lines[0][0].isdigit() else "ul"
    return f"<{kind}>{''.join(f'<li>{_inline(" ".join(item))}</li>' for item in items)}</{kind}>"


def _inline(text: str) -> SafeString:
    """Return a line's HTML. Code is taken apart first: within it nothing has a meaning."""
    pieces = text.replace("\\|", "|").split("`")
    html = [
        f"<code>{escape(piece)}</code>" if place % 2 else _marked(str(escape(piece)))
        for place, piece in enumerate(pieces)
    ]
    # Links may have code in their text.
    linked = re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", _link, "".join(html))
    return mark_safe(linked)  # noqa: S308 - escaped before anything is put around it


def _marked(text: str) -> str:
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    return re.sub(r"(?<![\w*])\*([^*]+)\*(?![\w*])", r"<i>\1</i>", text)


def _link(found: re.Match[str]) -> str:
    is_image, text, target = found.groups()
    parts = urlsplit(target)
    name = parts.path.removesuffix(".md")
    if is_image:
        return ""
    if parts.scheme == "https":
        return f'<a href="{target}" rel="noreferrer">{text}</a>'
    if not parts.path and parts.fragment:
        return f'<a href="#{parts.fragment}">{text}</a>'
    if name in PAGES:
        return f'<a href="?page={name}{f"#{parts.fragment}" if parts.fragment else ""}">{text}</a>'
    # Of the repository, which is not here.
    return text
