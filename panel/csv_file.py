"""Writes CSV files that spreadsheets open without evaluating formulas."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from django.http import HttpResponse

from panel import long_work

# What begins so is a formula to a spreadsheet, also behind blanks and quotes; a tab or line end hides one, and some read the
# wide signs too. With apostrophes before it, it is what `safe` made of one. Where a country's separator is the semicolon, a
# cell may also begin behind one, or on a new line: quotes in the middle of what is a cell there do not hold it together.
# LibreOffice proposes the tab as a separator beside the others, and nothing quotes a cell for one.
_FORMULA = "[ '\"]*[=+@\t\uff1d\uff0b\uff20\uff0d-]"
_BEGINS = re.compile(rf"(\A)(?=[ '\"]*[\r\n]|{_FORMULA})|([;\t\r\n])(?={_FORMULA})")
_MARKED = re.compile(rf"(\A)'(?=[ '\"]*[\r\n]|{_FORMULA})|([;\t\r\n])'(?={_FORMULA})")


def safe(value: Any) -> Any:
    """Return the cell as it is written to a file: an apostrophe stands before what would be a formula."""
    return _BEGINS.sub(r"\1\2'", value) if isinstance(value, str) else value


def read_back(text: str) -> str:
    """Return a cell as it was before `safe`, so that what was exported can be imported."""
    return _MARKED.sub(r"\1\2", text)


def answer(name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> HttpResponse:
    """Answer with a file of this name. Its view is one of `long_work.few_at_once`, which gives it up after so long.

    It begins with a byte order mark: without one, Excel takes it for its own code page.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([safe(value) for value in row] for row in long_work.in_time(rows))
    return HttpResponse(
        "\ufeff" + text.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
