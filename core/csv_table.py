"""Reads CSV files of spreadsheets as tables. A file is read completely, or refused with line and reason. Pure."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from core.errors import Fault, Invalid
from core.names import without_invisible

MOST_FAULTS = 50
# Rows and columns with anything in them. The largest files that are imported have as many rows; a file of two megabytes has
# room for a million of either, and each takes a kilobyte of memory.
MOST_ROWS = 20_000
MOST_COLUMNS = 1_000
SEPARATORS = ",;\t"
# Excel's own first line, which sets the separator.
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[,;\t]*', re.IGNORECASE)
# Thousands as in English, French (blanks of three kinds) and Swiss; a point would be German thousands or an English decimal.
_WHOLE_NUMBER = re.compile(r"[0-9]{1,10}|[0-9]{1,3}([, '\u00a0\u2009\u202f\u2019])[0-9]{3}(?:\1[0-9]{3})?", re.ASCII)
_MAY_BE_DECIMAL = re.compile(r"[0-9]{1,3},[0-9]{3}", re.ASCII)
_NOT_IN_NAMES = re.compile(r"[\s_.-]+")
_SAVE_AS = "save it as “CSV UTF-8 (comma delimited)”"


class NoWholeNumber(ValueError):
    """A cell is no whole number, or may be another; says what it must be, as a fault's message."""


class Row(dict[str, str]):
    """The cells of a row by column, the line of the file that the row begins on, and what separates the file's cells."""

    def __init__(self, line: int, cells: dict[str, str], *, separator: str = ",") -> None:
        super().__init__(cells)
        self.line = line
        self.separator = separator

    def text(self, column: str) -> str:
        """Return the stripped cell; empty if the file lacks the column or the row is too short."""
        return self.get(column, "").strip()

    def code(self, column: str) -> str:
        """Return a cell with an address or a number: also without invisible characters."""
        return without_invisible(self.get(column, "")).strip()

    def number(self, column: str) -> int:
        """Return the whole number of a cell; raises NoWholeNumber.

        Where commas separate decimals, they do not separate cells: such a file's “1,000” may be one, written with decimals.
        """
        text = self.code(column)
        if self.separator != "," and _MAY_BE_DECIMAL.fullmatch(text):
            whole = text.replace(",", "")
            raise NoWholeNumber(f"can be {whole} or {text.partition(',')[0]} with decimals: write it without a comma")
        number = whole_number(text)
        if number is None:
            raise NoWholeNumber("must be a whole number")
        return number


def decode(content: bytes) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with its byte order mark; raises Invalid.

    Other encodings are not guessed: Excel's "CSV" is Windows-1252 in German and French and code page 932 in Japanese, and no
    byte says which; a guess would store names that nobody wrote.
    """
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise Invalid(Fault("", f"The file is a spreadsheet document, not CSV: {_SAVE_AS}"))
    is_wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        if is_wide:
            raise Invalid(Fault("", f"The file is not whole as UTF-16: {_SAVE_AS}")) from None
        line = len(re.findall(rb"\r\n|\r|\n", content[: error.start])) + 1
        raise Invalid(
            Fault("", f"The file is not text in UTF-8 (the byte {content[error.start]:02X} in line {line}): {_SAVE_AS}")
        ) from None
    if "\x00" in text:
        raise Invalid(Fault("", f"The file has NUL characters, which text cannot contain: {_SAVE_AS}"))
    return text


def plain(name: str) -> str:
    """Return a column's name as names are compared: “Email Address”, “email_address” and “EmailAddress” are one."""
    return _NOT_IN_NAMES.sub("", name).lower()


def read(
    text: str,
    columns: Sequence[str],
    *,
    needed: Sequence[str],
    passed_over: Sequence[str] = (),
    aliases: Mapping[str, str] | None = None,
) -> list[Row]:
    """Return the rows of a table whose first row names its columns; raises Invalid with every fault, each with its line.

    It may have columns that are `passed_over` by its reader. `aliases`: plain names of columns in other programs' files.
    Cells stand apart by commas, semicolons or tabs, lines end in CR, LF or both. Rows without anything in them, and empty cells
    beyond the last column, are left out: spreadsheets write them.
    """
    text = text.removeprefix("\ufeff")
    named = {name: name for name in columns} | dict(aliases or {})
    skipped, separator = _separator(io.StringIO(text, newline=""), named)
    rows = _cells(io.StringIO(text, newline=""), separator, skipped=skipped)
    written = _head(next(rows, (0, []))[1])
    left_out = {plain(name) for name in passed_over}
    kept = [name for name in written if name in columns or plain(name) not in left_out]
    faults = _faults_of_head(kept, columns, needed, aliases or {})
    head = [_column(name, columns, aliases or {}) for name in written]
    found: list[Row] = []
    for line, cells in rows:
        if len(found) >= MOST_ROWS:
            raise Invalid(Fault(f"line {line}", f"is over the limit: a file can have {MOST_ROWS:,} rows"))
        if any(cell.strip() for cell in cells[len(head) :]):
            faults.append(Fault(f"line {line}", "has more cells than there are columns"))
        elif any(cell.strip() for name, cell in zip(head, cells, strict=False) if not name):
            faults.append(Fault(f"line {line}", "has a cell in a column without a name"))
        named_cells = {name: cell for name, cell in zip(head, cells, strict=False) if name}
        found.append(Row(line, named_cells, separator=separator))
    if faults:
        raise Invalid(*faults[:MOST_FAULTS])
    return found


def whole_number(text: str) -> int | None:
    """Return the number, or None if it is invalid. Commas, blanks and apostrophes can separate thousands; “1,5” is not one."""
    return int("".join(filter(str.isdecimal, text))) if _WHOLE_NUMBER.fullmatch(text) else None


def at_line(row: Row, refusal: Invalid) -> list[Fault]:
    """Return an act's faults with the row's line in their paths."""
    return [Fault(f"line {row.line}.{each.path}" if each.path else f"line {row.line}", each.message)
            for each in refusal.faults]  # fmt: skip


def _head(cells: list[str]) -> list[str]:
    """Return the names of the columns, up to the last one; raises Invalid."""
    while cells and not cells[-1].strip():
        cells.pop()
    if not cells:
        raise Invalid(Fault("", "The file is empty"))
    if len(cells) > MOST_COLUMNS:
        raise Invalid(Fault("", f"The file has more than {MOST_COLUMNS:,} columns"))
    head = [without_invisible(name).strip().lower() for name in cells]
    while head and not head[-1]:
        head.pop()
    return head


def _column(name: str, columns: Sequence[str], aliases: Mapping[str, str]) -> str:
    return name if name in columns else aliases.get(plain(name), name)


def _faults_of_head(
    head: Sequence[str], columns: Sequence[str], needed: Sequence[str], aliases: Mapping[str, str]
) -> list[Fault]:
    named = [name for name in head if name]
    if len(named) != len(set(named)):
        return [Fault("", "A column is named twice")]
    meant: dict[str, list[str]] = {}
    for name in named:
        meant.setdefault(_column(name, columns, aliases), []).append(name)
    if any("@" in name for name in named) and not any(column in columns for column in meant):
        return [Fault("", f"The first row must name the columns: write “{', '.join(needed)}” above the others")]
    faults = [
        Fault("", f"There is no column “{name[:40]}”: there are {', '.join(columns)}")
        for name in meant
        if name not in columns
    ]
    faults += [Fault("", f"The column “{name}” is missing") for name in needed if name not in meant]
    for column, names in meant.items():
        if len(names) > 1:
            both = " and ".join(f"“{name[:40]}”" for name in names)
            faults.append(Fault("", f"The columns {both} can each be “{column}”: leave one of them in the file"))
    return faults


def _separator(lines: Iterator[str], columns: Mapping[str, str]) -> tuple[int, str]:
    """Return the number of lines before the table, and its separator: the one with the most known columns."""
    first = next(lines, "")
    if said := _SEPARATOR_LINE.fullmatch(first.rstrip("\r\n")):
        if said[1] not in SEPARATORS:
            raise Invalid(Fault("line 1", "sets a separator that is not a comma, semicolon or tab"))
        return 1, said[1]
    head = first
    while head and not head.strip(" \r\n,;\t"):
        head = next(lines, "")
    known = {
        each: sum(
            _is_known(without_invisible(name).strip().strip('"').strip().lower(), columns)
            for name in head.split(each, MOST_COLUMNS)[:MOST_COLUMNS]
        )
        for each in SEPARATORS
    }  # fmt: skip
    return 0, max(SEPARATORS, key=lambda each: known[each])


def _is_known(name: str, columns: Mapping[str, str]) -> bool:
    return name in columns or plain(name) in columns


def _cells(lines: Iterator[str], separator: str, *, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of every row that has any, with the line on which it begins."""
    reader = csv.reader(islice(lines, skipped, None), delimiter=separator, strict=True)
    begins = skipped + 1
    try:
        for cells in reader:
            # Spreadsheets write a million rows of nothing.
            if "".join(cells).strip(" \t,;"):
                yield begins, cells
            begins = skipped + 1 + reader.line_num
    except csv.Error as error:
        raise Invalid(Fault("", f"The file is not CSV: line {begins}: {error}")) from None
