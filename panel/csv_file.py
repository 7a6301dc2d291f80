"""Writes CSV files that spreadsheets open without evaluating formulas."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpResponse

# A cell that begins so is a formula to a spreadsheet, also behind blanks; a tab or line end hides one. With apostrophes before
# it, it is what `safe` made of one.
_FORMULA = re.compile(r"'* *[=+@\t\r\n-]")


def safe(value: Any) -> Any:
    """Return the cell as it is written to a file: a text that would be a formula gets a leading apostrophe."""
    return "'" + value if isinstance(value, str) and _FORMULA.match(value) else value


def read_back(text: str) -> str:
    """Return a cell as it was before `safe`, so that what was exported can be imported."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


def answer(name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> HttpResponse:
    """Answer with a file of this name. It begins with a byte order mark: without one, Excel takes it for its own code page."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([safe(value) for value in row] for row in rows)
    return HttpResponse(
        "\ufeff" + text.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
