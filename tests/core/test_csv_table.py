"""core.csv_table: tables as spreadsheets write them, in three languages; what cannot be read is refused with the reason."""

import codecs
import time
import tracemalloc

import pytest

from core.csv_table import MOST_ROWS, NoWholeNumber, Row, decode, read, whole_number
from core.errors import Invalid
from tests.slowness import on_this_machine

COLUMNS = ("ipv4", "hostname", "pools")
ROWS = [
    {"ipv4": "192.0.2.1", "hostname": "a.example.", "pools": "Büro"},
    {"ipv4": "192.0.2.2", "hostname": "", "pools": "営業"},
]
LINES = "ipv4,hostname,pools", "192.0.2.1,a.example.,Büro", "192.0.2.2,,営業"


def refusal(act):
    with pytest.raises(Invalid) as refused:
        act()
    return [str(fault) for fault in refused.value.faults]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("says", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_it_reads_what_excel_writes(end, separator, says, encoding):
    lines = ([f"sep={separator}"] if says else []) + [line.replace(",", separator) + separator * 2 for line in LINES]
    text = end.join([*lines, separator * 4, "", " " + separator, ""])
    rows = read(decode(text.encode(encoding)), COLUMNS, needed=["ipv4"])
    assert rows == ROWS
    assert [row.line for row in rows] == [len(lines) - 1, len(lines)]


def test_lines_are_the_files():
    text = 'ipv4,pools\r\n\r\n192.0.2.1,"a\r\nb"\r\n,,\r\n192.0.2.2,c\r\n'
    assert [(row.line, dict(row)) for row in read(text, COLUMNS, needed=[])] == [
        (3, {"ipv4": "192.0.2.1", "pools": "a\r\nb"}),
        (6, {"ipv4": "192.0.2.2", "pools": "c"}),
    ]


@pytest.mark.parametrize(("name", "encoding"), [("Büro", "cp1252"), ("Équipe", "cp1252"), ("営業", "cp932")])
def test_other_encodings_are_refused_with_the_line_and_what_to_do(name, encoding):
    content = f"ipv4;pools\r\n192.0.2.1;a\r\n192.0.2.2;{name}\r\n".encode(encoding)
    byte = name.encode(encoding)[0 if name != "Büro" else 1]
    assert refusal(lambda: decode(content)) == [
        f"The file is not text in UTF-8 (the byte {byte:02X} in line 3): save it as “CSV UTF-8 (comma delimited)”"
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04xl", "The file is a spreadsheet document, not CSV"),
        (b"\xd0\xcf\x11\xe0", "The file is a spreadsheet document, not CSV"),
        (codecs.BOM_UTF16_LE + b"a", "The file is not whole as UTF-16"),
        ("ipv4\n1.2.3.4".encode("utf-16-le"), "The file has NUL characters"),
    ],
)
def test_what_is_no_text_is_refused(content, said):
    assert refusal(lambda: decode(content))[0].startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["The file is empty"]),
        (";;\n\n", ["The file is empty"]),
        ("ipv4;pools\n\n1.2.3.4;a;b\n", ["line 3 has more cells than there are columns"]),
        ("ipv4;;pools\n1.2.3.4;x;b\n", ["line 2 has a cell in a column without a name"]),
        ('ipv4,pools\n1.2.3.4,"a"b\n', ["The file is not CSV: line 2: ',' expected after '\"'"]),
        ("sep=|\nipv4|pools\n", ["line 1 sets a separator that is not a comma, semicolon or tab"]),
    ],
)
def test_it_is_refused_with_the_line(text, said):
    assert refusal(lambda: read(text, COLUMNS, needed=[])) == said


def test_codes_have_no_characters_that_are_not_shown():
    row = Row(2, {"ipv4": "\ufeff192.0.2.1\u200b\u00a0", "pools": " a\u200db "})
    assert (row.code("ipv4"), row.text("pools"), row.text("hostname")) == ("192.0.2.1", "a\u200db", "")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("1,000", 1000),
        ("1,000,000", 1000000),
        ("1 000", 1000),
        ("1\u00a0000\u00a0000", 1000000),
        ("1\u202f000", 1000),
        ("1'000", 1000),
        ("1’000’000", 1000000),
        ("1'000,000", None),
        ("1 00", None),
        ("1,2E+04", None),
        ("1,5", None),
        ("1.000", None),
        ("-1", None),
        ("1e3", None),
        ("", None),
    ],
)
def test_a_whole_number(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    ("cell", "number"), [("1000", 1000), ("1,000,000", 1000000), ("1'000", 1000), ("1,000", None), ("12,500", None)]
)
def test_what_may_be_a_decimal_is_refused_where_commas_do_not_separate_cells(separator, cell, number):
    (row,) = read(f'ipv4{separator}pools\n1.2.3.4{separator}"{cell}"\n', COLUMNS, needed=["ipv4"])
    if number is not None or separator == ",":
        assert row.number("pools") == int("".join(filter(str.isdecimal, cell)))
        return
    with pytest.raises(NoWholeNumber) as refused:
        row.number("pools")
    whole, units = cell.replace(",", ""), cell.split(",")[0]
    assert str(refused.value) == f"can be {whole} or {units} with decimals: write it without a comma"


def test_the_last_row_that_a_file_can_have_is_read():
    text = "ipv4\n" + "a\n\n" * MOST_ROWS
    assert len(read(text, COLUMNS, needed=["ipv4"])) == MOST_ROWS
    line = 2 * MOST_ROWS + 2
    assert refusal(lambda: read(f"{text}a\n", COLUMNS, needed=["ipv4"])) == [
        f"line {line} is over the limit: a file can have 20,000 rows"
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ipv4\n" + "a\n" * 1_000_000, "line 20002 is over the limit: a file can have 20,000 rows"),
        ("a," * 1_000_000, "The file has more than 1,000 columns"),
        ("a," * 400_000 + "\n" + "a," * 400_000, "The file has more than 1,000 columns"),
        ("\n" * 2_000_000, "The file is empty"),
        ("," * 2_000_000, "The file is empty"),
    ],
)
def test_a_file_of_two_megabytes_takes_neither_memory_nor_time(text, said):
    began = time.process_time()
    assert refusal(lambda: read(text, COLUMNS, needed=[])) == [said]
    assert time.process_time() - began < on_this_machine(4)

    tracemalloc.start()
    refusal(lambda: read(text[: len(text) // 8], COLUMNS, needed=[]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 * 1024 * 1024
