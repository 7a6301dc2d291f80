import bz2
import gzip
import io
import json
import lzma
import sys

import pytest

from stats.intake import sources
from stats.intake.sources import framing

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ONE = {"id": "1", "type": "sent", "at": "2026-11-27T02:35:04Z"}
TWO = {"id": "2", "type": "sent", "at": "2026-11-27T02:35:04Z"}
LINES = b"".join(json.dumps(each).encode() + b"\n" for each in (ONE, TWO))
BOTH = [sources.Event(0, ONE), sources.Event(1, TWO)]


def read(*bodies, format="native", **settings):  # noqa: A002
    return list(sources.make(format, sources.Settings(**settings)).read([io.BytesIO(body) for body in bodies]))


@pytest.mark.parametrize(
    "body",
    [
        LINES,
        LINES.rstrip(),
        LINES.replace(b"\n", b"\r\n"),
        LINES.replace(b"\n", b"\r"),
        gzip.compress(b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r")),
        b"\xef\xbb\xbf" + LINES,
        json.dumps([ONE, TWO]).encode(),
        json.dumps([ONE, TWO], indent=2).encode(),
        b" \n\n " + json.dumps([ONE, TWO]).encode() + b"\n",
        gzip.compress(LINES),
        gzip.compress(LINES[: len(LINES) // 2]) + gzip.compress(LINES[len(LINES) // 2 :]),
        zstd.compress(LINES),
        zstd.compress(LINES[: len(LINES) // 2]) + zstd.compress(LINES[len(LINES) // 2 :]),
        zstd.compress(b"\xef\xbb\xbf" + json.dumps([ONE, TWO]).encode()),
        LINES.decode().encode("utf-16"),
        b"\xfe\xff" + LINES.decode().replace("\n", "\r\n").encode("utf-16-be"),
        LINES.decode().encode("utf-16-le"),
        LINES.decode().encode("utf-16-be"),
        bz2.compress(LINES),
        lzma.compress(LINES),
    ],
    ids=[
        "lines",
        "no end",
        "crlf",
        "cr",
        "packed cr",
        "bom",
        "array",
        "pretty array",
        "space before",
        "gzip",
        "members",
        "zstd",
        "frames",
        "all",
        "utf-16",
        "utf-16-be",
        "utf-16-le without a mark",
        "utf-16-be without a mark",
        "bzip2",
        "xz",
    ],
)
def test_shapes_and_packings(body):
    assert read(body) == BOTH


def test_a_long_log_with_cr_alone_is_read_line_by_line():
    lines = b"".join(b'{"id": "%d", "to": "ann@example.com"}\r' % number for number in range(20_000))
    assert [each.index for each in read(lines)] == list(range(20_000))


def test_a_pipe_whose_first_piece_ends_within_crlf_keeps_its_numbers():
    stream = io.BufferedReader(io.BytesIO(LINES.replace(b"\n", b"\r\n")), LINES.index(b"\n") + 1)
    assert framing.with_line_feeds(stream).readlines() == LINES.replace(b"\n", b"\r\n").splitlines(keepends=True)


def test_a_long_file_in_utf_16_is_read_whole():
    lines = "".join(f'{{"id": "{number}", "to": "用户@例え.jp"}}\r\n' for number in range(20_000))
    ids = [each.fields["id"] for each in read(lines.encode("utf-16"))]
    assert ids == [str(number) for number in range(20_000)]


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress, lambda lines: lines.decode().encode("utf-16")])
def test_a_request_is_not_unpacked_by_what_could_need_any_memory(pack):
    (refused,) = read(pack(LINES), limit=10_000)[:1]
    assert isinstance(refused, sources.Refused)


@pytest.mark.parametrize("indent", [None, 2])
def test_one_object(indent):
    assert read(json.dumps(ONE, indent=indent).encode()) == [sources.Event(0, ONE)]


@pytest.mark.parametrize("body", [b"", b"\n\n", b"[]", b" "])
def test_nothing(body):
    assert read(body) == []


def test_an_array_in_a_line_gives_its_members():
    body = json.dumps([ONE, TWO]).encode() + b"\n" + json.dumps([TWO]).encode() + b"\n"
    assert read(body) == [sources.Event(0, ONE), sources.Event(0, TWO), sources.Event(1, TWO)]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_truncated_record_is_refused_and_its_neighbours_are_kept(place):
    lines = LINES.splitlines(keepends=True)
    lines.insert(place, b'{"id": "3", "type": "se\n')
    outcomes = read(b"".join(lines))
    assert [type(each).__name__ for each in outcomes].count("Event") == 2
    assert outcomes[place] == sources.Refused(place, "invalid_json", "The line is not JSON")


def test_two_truncated_records_at_the_start_lose_nothing():
    assert [type(each).__name__ for each in read(b'{"id": 1\n{"id"\n' + LINES)] == [
        "Refused",
        "Refused",
        "Event",
        "Event",
    ]


@pytest.mark.parametrize("body", [b'{"id": "1",\n "type"', b"{", b'{"id"\n\n:', b"[1, 2", b'"x', b"\xff\xfe\x00"])
def test_what_is_no_json_is_refused(body):
    assert {each.code for each in read(body)} == {"invalid_json"}


@pytest.mark.parametrize("body", [b"1", b'"text"', b"null", b"[1, null, []]", b"true\n1\n"])
def test_what_is_no_object_is_refused(body):
    assert {each.code for each in read(body)} == {"invalid_event"}


@pytest.mark.parametrize("place", ["first", "between", "last"])
def test_a_line_of_64_mib_is_refused_and_its_neighbours_are_kept(place):
    class Long(io.RawIOBase):
        """A stream that says a long line, without holding it."""

        def __init__(self):
            long = [b"x" * 2**20] * 64 + [b"\n"]
            first, second = LINES.splitlines(keepends=True)
            self.parts = {
                "first": [*long, first, second], "between": [first, *long, second], "last": [first, second, *long],
            }[place]  # fmt: skip

        def readable(self):
            return True

        def readinto(self, buffer):
            if not self.parts:
                return 0
            part = self.parts[0][: len(buffer)]
            self.parts[0] = self.parts[0][len(buffer) :]
            if not self.parts[0]:
                del self.parts[0]
            buffer[: len(part)] = part
            return len(part)

    outcomes = list(sources.make("native", sources.Settings()).read([Long()]))
    kept = [each.fields["id"] for each in outcomes if isinstance(each, sources.Event)]
    refused = [each.code for each in outcomes if isinstance(each, sources.Refused)]
    assert (kept, refused) == (["1", "2"], ["line_too_long"])


@pytest.mark.parametrize(
    ("pack", "code"),
    [
        (gzip.compress, "invalid_gzip"),
        (zstd.compress, "invalid_zstd"),
        (bz2.compress, "invalid_bzip2"),
        (lzma.compress, "invalid_xz"),
    ],
)
@pytest.mark.parametrize("harm", ["cut", "flipped"])
def test_damaged_packing_is_told_after_what_could_be_read(pack, code, harm):
    packed = pack(LINES * 5_000)
    broken = packed[: len(packed) // 2] if harm == "cut" else packed[:-9] + b"\xff" * 9
    outcomes = read(broken)
    assert outcomes[-1].code == code
    assert "64 KiB before its end have not been read" in outcomes[-1].message
    assert all(isinstance(each, sources.Event) for each in outcomes[:-2])


@pytest.mark.parametrize("format_", ["native", "haraka"])
def test_files_put_together_may_each_begin_with_a_byte_order_mark(format_):
    bodies = [b"\xef\xbb\xbf" + line for line in LINES.splitlines(keepends=True)]
    assert [each.fields for each in read(b"".join(bodies), format=format_)] == [ONE, TWO]
    accounting = b"\xef\xbb\xbf" + HEADER + ROW + b"\xef\xbb\xbftype,timeLogged\nd,2026-11-27 02:35:04+0000\n"
    assert [each.fields.get("to") for each in read(accounting, format="powermta")] == ["c@d.example", None]


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        (rb"full \ud83d", "full \ufffd"),
        (rb"\udcab full", "\ufffd full"),
        (rb"\ud83d\udce6 and \udce6\ud83d", "\U0001f4e6 and \ufffd\ufffd"),
        (rb"C:\\ud83d", r"C:\ud83d"),
        (rb"\\\ud83d", "\\\ufffd"),
        (b"full \xc3", "full \ufffd"),
        (b"gr\xfc\xdfe", "gr\ufffd\ufffde"),
    ],
)
def test_half_of_a_character_loses_no_event(written, read_as):
    """JavaScript cuts texts in the middle of a character, others in the middle of its bytes."""
    line = json.dumps(ONE).encode().replace(b"}", b', "reply": "' + written + b'"}')
    for body in (line, line + b"\n" + line, b"[" + line + b"]"):
        assert {each.fields["reply"] for each in read(body)} == {read_as}


@pytest.mark.parametrize("body", [LINES, json.dumps([ONE, TWO]).encode(), LINES.replace(b"\n", b"\n\0\0")])
def test_nuls_that_a_loss_of_power_leaves_are_no_part_of_a_line(body):
    assert read(b"\0" * 5_000 + body) == BOTH


def test_a_bomb_stops_at_the_limit():
    with pytest.raises(sources.TooLarge):
        read(zstd.compress(b"\n" * 2**24), limit=2**20)
    assert read(zstd.compress(LINES), limit=2**20) == BOTH


def test_a_large_array_is_refused(monkeypatch):
    monkeypatch.setattr(framing, "LARGEST_ARRAY", 10)
    assert [each.code for each in read(json.dumps([ONE, TWO]).encode())] == ["array_too_large"]


def test_streams_are_numbered():
    assert read(LINES, LINES) == [*BOTH, *(each._replace(stream=1) for each in BOTH)]


def test_a_stream_that_cannot_seek_is_left_open():
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *args):
            raise io.UnsupportedOperation

    pipe = io.BufferedReader(Pipe(gzip.compress(LINES)))
    assert list(sources.make("native", sources.Settings()).read([pipe])) == BOTH
    assert not pipe.closed


HEADER = b"type,timeLogged,orig,rcpt\n"
ROW = b"d,2026-11-27 02:35:04+0000,a@b.example,c@d.example\n"


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (HEADER + ROW + b'd,"2026\n' + ROW, ["Event", "invalid_csv", "Event"]),
        (HEADER + b"d,2026-11-27 02:35\n" + ROW, ["truncated", "Event"]),
        (HEADER + ROW.rstrip() + b",more\n" + ROW, ["invalid_csv", "Event"]),
        (ROW + HEADER + ROW, ["no_header", "Event"]),
        (HEADER + ROW + HEADER + ROW, ["Event", "Event"]),
        (HEADER + b"d,yesterday,a@b.example,c@d.example\n" + ROW, ["invalid_at", "Event"]),
        (HEADER + b"xyz,,,\n" + ROW, ["Ignored", "Event"]),
        (HEADER.replace(b"\n", b"\r\n") + b"\r\n" + ROW.replace(b"\n", b"\r\n"), ["Event"]),
        (HEADER.replace(b",", b", ") + ROW, ["Event"]),
        (b"orig,rcpt,type,timeLogged\na@b.example,c@d.example,d,2026-11-27 02:35:04+0000\n", ["Event"]),
        (b"orig,type,timeLogged\na@b.example,d,2026-11-27 02:35:04+0000\n" + HEADER + ROW, ["Event", "Event"]),
        (HEADER + ROW + b"timeLogged,type\n2026-11-27 02:35:04+0000,d\n", ["Event", "Event"]),
        # What a customer writes makes no header: no record's type is the name of a column.
        (HEADER + b"d,2026-11-27 02:35:04+0000,type,timeLogged\n" + ROW, ["Event", "Event"]),
        (ROW + b"d,timeLogged,type,rcpt\n" + ROW, ["no_header"] * 3),
    ],
)
def test_csv(body, codes):
    assert [getattr(each, "code", type(each).__name__) for each in read(body, format="powermta")] == codes


@pytest.mark.parametrize(("zone", "settings"), [("Nowhere/Land", {}), ("../../etc/passwd", {}), ("", {})])
def test_it_rejects_a_time_zone_that_is_none(zone, settings):
    with pytest.raises(ValueError, match="time zone"):
        sources.make("postfix", sources.Settings(time_zone=zone, **settings))


def test_it_rejects_an_unknown_format():
    with pytest.raises(ValueError, match="native, postfix"):
        sources.make("sendmail", sources.Settings())


@pytest.mark.parametrize("separator", [";", "\t"])
def test_accounting_files_that_a_spreadsheet_wrote_are_refused_by_their_separators(separator):
    text = f"type{separator}timeLogged{separator}rcpt\nd{separator}2026-11-27 02:35:04+0000{separator}a@x.example\n"
    reader = sources.make("powermta", sources.Settings())
    found = list(reader.read([io.BytesIO(text.encode())]))
    name = "semicolons" if separator == ";" else "tabs"
    said = f"The columns are separated by {name}: they must be separated by commas, as the server writes them"
    assert [(each.code, each.message) for each in found] == [("no_header", said)] * 2


@pytest.mark.parametrize("name", sources.FORMATS)
@pytest.mark.parametrize(
    ("start", "packing"), [(b"PK\x03\x04\x14", "zip"), (b"\x04\x22\x4d\x18x", "lz4"), (b"\x1f\x9d\x90", "compress")]
)
def test_a_file_that_is_packed_otherwise_is_refused_once(name, start, packing):
    reader = sources.make(name, sources.Settings())
    found = list(reader.read([io.BytesIO(start + b"\nx\xff\n" * 50)]))
    said = f"The file is packed by {packing}: unpack it, or use gzip, bzip2, xz or zstd"
    assert [(each.code, each.message) for each in found] == [("unsupported_packing", said)]
