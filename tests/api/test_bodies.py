"""Bodies: every way in which one can be wrong is refused, none is believed."""

import io

import pytest
from django.http import UnreadablePostError
from django.test import RequestFactory

from api import bodies
from api.problems import Code, Declined


class Stream(io.BytesIO):
    """A socket's side that counts what was read from it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.taken = 0

    def read(self, size=-1):
        chunk = super().read(size)
        self.taken += len(chunk)
        return chunk


def request_with(content: bytes, *, length: int | str | None = None, **meta):
    stream = Stream(content)
    meta = {"wsgi.input": stream, "CONTENT_LENGTH": str(len(content) if length is None else length)} | meta
    request = RequestFactory().generic("POST", "/")
    request = type(request)({**request.environ, **meta})
    return request, stream


def refusal(call, *args, **kwargs):
    with pytest.raises(Declined) as caught:
        call(*args, **kwargs)
    return caught.value.problem.code, caught.value.problem.message


def test_it_reads_a_body():
    request, _ = request_with(b'{"a": 1}')
    assert bodies.read(request) == b'{"a": 1}'


def test_it_reads_no_body():
    request, _ = request_with(b"", length="")
    assert bodies.read(request) == b""


def test_it_reads_a_body_that_somebody_read_before():
    request, _ = request_with(b"seen")
    assert request.body == b"seen"
    assert bodies.read(request) == b"seen"
    assert refusal(bodies.read, request, limit=3) == (
        Code.TOO_LARGE,
        "The request's body must not be larger than 3 bytes",
    )


def test_it_reads_exactly_the_limit():
    request, _ = request_with(b"x" * 100)
    assert bodies.read(request, limit=100) == b"x" * 100


def test_it_rejects_a_declared_size_without_holding_it():
    request, stream = request_with(b"x" * (2 * bodies.MEBIBYTE))
    assert refusal(bodies.read, request) == (Code.TOO_LARGE, "The request's body must not be larger than 1 MiB")
    # Read to its end, so that the sender can read the answer.
    assert stream.taken == 2 * bodies.MEBIBYTE


def test_it_reads_on_only_so_far_after_a_refusal():
    request, stream = request_with(b"x" * (bodies.DISCARDED + 5 * bodies.MEBIBYTE))
    refusal(bodies.read, request)
    assert stream.taken == bodies.DISCARDED


def test_it_reads_a_chunked_body():
    request, _ = request_with(
        b"{}" * 10, length="", HTTP_TRANSFER_ENCODING=" Chunked", **{"wsgi.input_terminated": True}
    )
    assert bodies.read(request) == b"{}" * 10


def test_it_rejects_a_chunked_body_over_the_limit():
    request, _ = request_with(
        b"x" * (bodies.MEBIBYTE + 1), length="", HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input_terminated": True}
    )
    assert refusal(bodies.read, request)[0] == Code.TOO_LARGE


def test_it_rejects_a_chunked_body_behind_a_server_that_cannot_read_it():
    request, _ = request_with(b"x", length="", HTTP_TRANSFER_ENCODING="chunked")
    assert refusal(bodies.read, request) == (Code.MALFORMED, "Send the body with a Content-Length")


@pytest.mark.parametrize("coding", ["gzip, chunked", "deflate,chunked", "identity, chunked", "gzip", ""])
def test_it_rejects_what_is_packed_below_the_chunks(coding):
    request, _ = request_with(b"x", length="", HTTP_TRANSFER_ENCODING=coding, **{"wsgi.input_terminated": True})
    assert refusal(bodies.read, request) == (Code.MALFORMED, bodies.TRANSFER)


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "ten", "١٠"])
def test_it_rejects_a_length_that_is_no_number(length):
    request, _ = request_with(b"x", length=length)
    assert refusal(bodies.read, request) == (Code.MALFORMED, "The Content-Length is not a number")


def test_it_rejects_a_body_that_ends_early():
    request, _ = request_with(b"{}", length=10)
    assert refusal(bodies.read, request) == (Code.MALFORMED, "The request's body ended early")


class InvalidChunk(Exception):
    """Servers raise what they like."""


@pytest.mark.parametrize("exc", [ConnectionResetError(104, "reset"), InvalidChunk()])
def test_a_body_that_cannot_be_read_is_told_apart(exc):
    class Gone(Stream):
        def read(self, size=-1):
            raise exc

    request, _ = request_with(b"x", length=5)
    request._stream = Gone(b"")
    with pytest.raises(UnreadablePostError):
        bodies.read(request)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a":1,"a":2}', {"a": 2}),
        (b"[1, null, 1.5]", [1, None, 1.5]),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b"9223372036854775807", 2**63 - 1),
        (b"18446744073709551616", float(2**64)),
        (b'"\\\\u0000"', "\\u0000"),
        ("{}", {}),
    ],
)
def test_it_parses(raw, value):
    parsed = bodies.parse_json(raw)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    "raw",
    [
        b"", b" ", b"{", b'{"a":', b"{'a':1}", b"NaN", b"-Infinity", b"1e400", b"01", b"nul", b"{}{}", b'{"a":1,}',
        b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xff"', b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16"),
        b"\x00{}", b'"\x00"', b"[" * 100_000, b'{"a":' * 100_000, b"[" * 1500 + b"]" * 1500,
    ],
    ids=lambda raw: repr(raw[:12]),
)  # fmt: skip
def test_it_rejects_what_is_no_json(raw):
    code, message = refusal(bodies.parse_json, raw)
    assert code == Code.MALFORMED
    assert message.startswith("The request is not valid JSON: ")


@pytest.mark.parametrize("raw", [b'"\\u0000"', b'{"a":["b\\u0000"]}', b'{"a\\u0000":1}', '"\\u0000"'])
def test_it_rejects_nul_characters(raw):
    assert refusal(bodies.parse_json, raw) == (Code.MALFORMED, "The request must not contain NUL characters")


def test_it_finds_a_nul_at_any_depth():
    raw = b"[" * 900 + b'"\\u0000"' + b"]" * 900
    assert refusal(bodies.parse_json, raw)[1] == "The request must not contain NUL characters"


@pytest.mark.parametrize("raw", [b"[" + b"1," * 60_000 + b"1]", b"{" + b'"a":1,' * 60_000 + b'"a":1}', "," * 60_000])
def test_it_rejects_more_values_than_any_request_needs(raw):
    """Each entry that is wrong costs some microseconds and a sentence of the answer, in whichever act it is."""
    code, message = refusal(bodies.parse_parameters, raw)
    assert (code, message) == (Code.TOO_LARGE, "The request must not have more than 50,000 values")
    assert bodies.parse_parameters(b"[" + b"1," * 40_000 + b"1]")[-1] == 1
