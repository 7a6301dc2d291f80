"""CSV import: a dry run that shows the effects, then the import.

The dry run does everything and rolls it back, so it cannot say anything else than what the import will do. Only changes that
were shown are imported: where somebody changed a record meanwhile, or the text was edited, they are shown again.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminFileFieldWidget

from core import csv_table
from core.errors import Fault, Invalid, Refused
from panel import csv_file, long_work
from panel.forms.fields import text_area

LARGEST = 2 * 1024 * 1024
SHOWN_FAULTS = 50
SHOWN_CHANGES = 500

SHOWN_AGAIN = "Not imported: the changes are no longer those that were shown. Look at them again."
# Sent twice, the first was imported.
NOTHING_LEFT = "This file changes nothing any more."

type Rows = list[csv_table.Row]


@dataclass(frozen=True, slots=True)
class Effect:
    """The effects of an import: counts, and each change as (record, field, before, after), the most severe first."""

    figures: Sequence[tuple[str, int]]
    changes: Sequence[tuple[str, str, str, str]] = ()


type Importing = Callable[[Rows], Effect]


class _DryRun(Exception):
    def __init__(self, effect: Effect) -> None:
        self.effect = effect


class FileForm(forms.Form):
    """A file, or its text: the confirmation form has the text, so that exactly the previewed content is imported."""

    file = forms.FileField(required=False, widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,text/csv"}))
    text = forms.CharField(
        required=False,
        strip=False,
        max_length=LARGEST,
        widget=text_area(rows=10, spellcheck="false"),
        label="Or its text",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        uploaded = cleaned.get("file")
        if uploaded is not None:
            if uploaded.size > LARGEST:
                raise forms.ValidationError("The file is larger than 2 MiB: import it in parts.")
            try:
                cleaned["text"] = csv_table.decode(uploaded.read())
            except Invalid as refusal:
                raise forms.ValidationError(str(refusal)) from None
        if not cleaned.get("text", "").strip():
            raise forms.ValidationError("Choose a file, or paste its text.")
        return cleaned


def rows_of(text: str, columns: Sequence[str], *, needed: Sequence[str], **of_others: Any) -> Rows:
    """Return the rows of a CSV text, without the apostrophes of exported cells; raises Invalid."""
    rows = csv_table.read(text, columns, needed=needed, **of_others)
    return [
        csv_table.Row(row.line, {name: csv_file.read_back(cell) for name, cell in row.items()}, separator=row.separator)
        for row in rows
    ]


def mark_of(rows: Rows, effect: Effect) -> str:
    """Return what a confirmation has of the rows and changes that were shown. Forms write line ends in their own way."""
    cells = [[(name, "\n".join(cell.splitlines())) for name, cell in row.items()] for row in rows]
    return hashlib.sha256(repr((cells, list(effect.changes))).encode("utf-8", "surrogatepass")).hexdigest()


def page(
    admin: Any,
    request: HttpRequest,
    *,
    title: str,
    help_text: str,
    columns: Sequence[str],
    needed: Sequence[str],
    importing: Importing,
    back: str,
    is_exported: bool = True,
    passed_over: Sequence[str] = (),
    aliases: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Show the form or the dry run, or import and redirect.

    `is_exported`: the export of the same list can always be imported. `passed_over`: columns that a file may have besides.
    `aliases`: names that other programs give the columns (core.csv_table).
    """
    posted = request.method == "POST"
    form = FileForm(request.POST if posted else None, request.FILES if posted else None)
    effect, mark = Effect(()), ""
    if form.is_valid():
        confirmed = request.POST.get("confirmed", "")
        try:
            with long_work.slot(request), transaction.atomic():
                rows = rows_of(
                    form.cleaned_data["text"], columns, needed=needed, passed_over=passed_over, aliases=aliases
                )
                effect = importing(rows)
                mark = mark_of(rows, effect)
                if confirmed != mark:
                    raise _DryRun(effect)
        except _DryRun as dry_run:
            effect = dry_run.effect
            if confirmed:
                messages.warning(request, SHOWN_AGAIN if effect.changes else NOTHING_LEFT)
            # The same text again, also where it came as a file.
            form = FileForm(initial={"text": form.cleaned_data["text"]})
        except Refused as refusal:
            faults = refusal.faults if isinstance(refusal, Invalid) else (Fault("", refusal.message),)
            for fault in faults[:SHOWN_FAULTS]:
                form.add_error(None, str(fault))
        else:
            messages.success(
                request, "Imported: " + ", ".join(f"{name} {number}" for name, number in effect.figures) + "."
            )
            return HttpResponseRedirect(back)
    context = {
        **admin.admin_site.each_context(request),
        "title": title,
        "opts": admin.opts,
        "form": form,
        "effect": effect.figures,
        "mark": mark,
        "changes": effect.changes[:SHOWN_CHANGES],
        "more_changes": len(effect.changes[SHOWN_CHANGES:]),
        "help_text": help_text,
        "columns": columns,
        "is_exported": is_exported,
        "back": back,
    }
    return TemplateResponse(request, "panel/import.html", context)
