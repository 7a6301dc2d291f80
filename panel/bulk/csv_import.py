"""Importing a CSV file: a dry run that shows what it would do, then doing it.

The dry run does everything and rolls it back, so it cannot say anything else than what the import will do.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminFileFieldWidget

from core.errors import Fault, Invalid, Refused
from panel import csv_file
from panel.forms.fields import text_area

LARGEST = 2 * 1024 * 1024
SHOWN_FAULTS = 50

type Rows = list[Mapping[str, str]]
# Imports the rows and returns a line in words for each thing that it did.
type Importing = Callable[[Rows], Sequence[tuple[str, Any]]]


class _OnlyLooked(Exception):
    def __init__(self, effect: Sequence[tuple[str, Any]]) -> None:
        self.effect = effect


class FileForm(forms.Form):
    """A file, or its text: after the dry run the text goes along, so that just what was looked at is imported."""

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
                cleaned["text"] = uploaded.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                raise forms.ValidationError("The file is not text in UTF-8.") from None
        if not cleaned.get("text", "").strip():
            raise forms.ValidationError("Choose a file, or paste its text.")
        return cleaned


def rows_of(text: str, columns: Sequence[str], *, needed: Sequence[str]) -> Rows:
    """Return the rows of a CSV text by column; raises Invalid for columns that are unknown, missing or named twice."""
    try:
        lines = [line for line in csv.reader(io.StringIO(text.replace("\x00", "")), strict=True) if line]
    except csv.Error as error:
        raise Invalid(Fault("", f"The file is not CSV: {error}")) from None
    head = [name.strip().lower() for name in lines[0]] if lines else []
    faults = [
        Fault("", f"There is no column “{name[:40]}”: there are {', '.join(columns)}")
        for name in head
        if name not in columns
    ]
    faults += [Fault("", f"The column “{name}” is missing") for name in needed if name not in head]
    if len(head) != len(set(head)):
        faults.append(Fault("", "A column is named twice"))
    faults += [
        Fault(f"line {number}", "has more cells than there are columns")
        for number, line in enumerate(lines[1:], start=2)
        if len(line) > len(head)
    ][:SHOWN_FAULTS]
    if faults:
        raise Invalid(*faults)
    return [dict(zip(head, map(csv_file.read_back, line), strict=False)) for line in lines[1:]]


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
) -> HttpResponse:
    """Show the form, the dry run of what was given, or import it and go back."""
    posted = request.method == "POST"
    form = FileForm(request.POST if posted else None, request.FILES if posted else None)
    effect: Sequence[tuple[str, Any]] = ()
    if form.is_valid():
        is_confirmed = "confirmed" in request.POST
        try:
            rows = rows_of(form.cleaned_data["text"], columns, needed=needed)
            with transaction.atomic():
                effect = importing(rows)
                if not is_confirmed:
                    raise _OnlyLooked(effect)
        except _OnlyLooked as looked:
            effect = looked.effect
            # The same text again, also where it came as a file.
            form = FileForm(initial={"text": form.cleaned_data["text"]})
        except Refused as refusal:
            effect = ()
            faults = refusal.faults if isinstance(refusal, Invalid) else (Fault("", refusal.message),)
            for fault in faults[:SHOWN_FAULTS]:
                form.add_error(None, str(fault))
        else:
            messages.success(request, "Imported: " + ", ".join(f"{name} {number}" for name, number in effect) + ".")
            return HttpResponseRedirect(back)
    context = {
        **admin.admin_site.each_context(request),
        "title": title,
        "opts": admin.opts,
        "form": form,
        "effect": effect,
        "help_text": help_text,
        "columns": columns,
        "back": back,
    }
    return TemplateResponse(request, "panel/import.html", context)
