"""An S3-compatible server on the loopback: objects, uploads in parts, lists. Signatures (AWS Signature V4) are checked."""

import hashlib
import hmac
import http.server
import secrets
import threading
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

ACCESS_KEY, SECRET_KEY, REGION = "the-key", "the/secret+key", "eu-central-1"


class S3Server:
    """The server with one bucket. `spoil` changes what it keeps; `refuses` names methods that it answers with 403."""

    def __init__(self, bucket: str = "backups") -> None:
        self.bucket = bucket
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.refuses: set[str] = set()
        self.spoil: Callable[[bytes], bytes] = lambda content: content
        # Method and path of each request with a right signature; and the faults of the others.
        self.asked: list[str] = []
        self.faults: list[str] = []

    def __enter__(self) -> Self:
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.store = self
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def listed(self, prefix: str) -> str:
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-21T03:20:00.000Z</LastModified>"
            f'<ETag>"{hashlib.md5(content).hexdigest()}"</ETag><Size>{len(content)}</Size></Contents>'
            for key, content in sorted(self.objects.items())
            if key.startswith(prefix)
        )
        return f"<ListBucketResult><Name>{self.bucket}</Name><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"


def signature(request: Any, body: bytes) -> str:
    """Return the signature that a request should have, by its own list of signed headers."""
    fields = dict(part.strip().split("=", 1) for part in request.headers["Authorization"].partition(" ")[2].split(","))
    key, day, region, service, end = fields["Credential"].split("/")
    assert (key, region, service, end) == (ACCESS_KEY, REGION, "s3", "aws4_request"), fields["Credential"]
    claimed = request.headers["x-amz-content-sha256"]
    assert claimed in (hashlib.sha256(body).hexdigest(), "UNSIGNED-PAYLOAD"), "the body is not the signed one"
    names = fields["SignedHeaders"].split(";")
    assert {"host", "x-amz-date", "x-amz-content-sha256"} <= {*names}, names
    parts = urlsplit(request.path)
    query = sorted(
        (quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in parse_qsl(parts.query, keep_blank_values=True)
    )
    canonical = "\n".join(
        [
            request.command,
            parts.path,
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{' '.join(request.headers[name].split())}" for name in names),
            "",
            ";".join(names),
            claimed,
        ]
    )
    scope = f"{day}/{region}/{service}/{end}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{request.headers['x-amz-date']}\n{scope}\n{digest}"
    secret = f"AWS4{SECRET_KEY}".encode()
    for piece in (day, region, service, end):
        secret = hmac.digest(secret, piece.encode(), "sha256")
    expected = hmac.new(secret, text.encode(), "sha256").hexdigest()
    assert hmac.compare_digest(expected, fields["Signature"]), "the signature is wrong"
    return expected


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers a request of the client."""

    protocol_version = "HTTP/1.1"

    @property
    def store(self) -> S3Server:
        return self.server.store

    def do_GET(self) -> None:
        self.take()

    def do_HEAD(self) -> None:
        self.take()

    def do_PUT(self) -> None:
        self.take()

    def do_POST(self) -> None:
        self.take()

    def do_DELETE(self) -> None:
        self.take()

    def take(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            signature(self, body)
        except (AssertionError, KeyError, TypeError, AttributeError) as fault:
            self.store.faults.append(str(fault))
            self.answer(403, "<Error><Code>SignatureDoesNotMatch</Code></Error>")
            return
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        self.store.asked.append(f"{self.command} {key}")
        if bucket != self.store.bucket:
            self.answer(404, "<Error><Code>NoSuchBucket</Code></Error>")
        elif self.command in self.store.refuses:
            self.answer(403, "<Error><Code>AccessDenied</Code></Error>")
        else:
            getattr(self, f"on_{self.command.lower()}")(key, query, body)

    def on_put(self, key: str, query: dict[str, str], body: bytes) -> None:
        if "uploadId" in query:
            self.store.uploads[query["uploadId"]][int(query["partNumber"])] = body
        else:
            self.store.objects[key] = self.store.spoil(body)
        self.answer(200, etag=body)

    def on_post(self, key: str, query: dict[str, str], body: bytes) -> None:
        if "delete" in query:
            self.answer(200, self.deleted(body))
            return
        if "uploads" in query:
            upload = secrets.token_hex(8)
            self.store.uploads[upload] = {}
            self.answer(200, f"<X><UploadId>{upload}</UploadId></X>".replace("X>", "InitiateMultipartUploadResult>"))
            return
        numbers = [
            int(each.text or 0) for each in ElementTree.fromstring(body).iter() if each.tag.endswith("PartNumber")
        ]
        kept = self.store.uploads.pop(query["uploadId"])
        assert numbers == sorted(kept)
        content = b"".join(kept[number] for number in numbers)
        self.store.objects[key] = self.store.spoil(content)
        etag = hashlib.md5(content).hexdigest()
        self.answer(200, f'<CompleteMultipartUploadResult><ETag>"{etag}"</ETag></CompleteMultipartUploadResult>')

    def on_get(self, key: str, query: dict[str, str], body: bytes) -> None:
        if not key:
            self.answer(200, self.store.listed(query.get("prefix", "")))
        elif key in self.store.objects:
            self.answer(200, self.store.objects[key], etag=self.store.objects[key])
        else:
            self.answer(404, "<Error><Code>NoSuchKey</Code></Error>")

    on_head = on_get

    def on_delete(self, key: str, query: dict[str, str], body: bytes) -> None:
        self.store.uploads.pop(query.get("uploadId", ""), None)
        if "uploadId" not in query:
            self.store.objects.pop(key, None)
        self.answer(204)

    def deleted(self, body: bytes) -> str:
        keys = [each.text or "" for each in ElementTree.fromstring(body).iter() if each.tag.endswith("Key")]
        self.store.asked += [f"DELETE {key}" for key in keys]
        if "DELETE" in self.store.refuses:
            error = "<Code>AccessDenied</Code><Message>no</Message>"
            rows = "".join(f"<Error><Key>{escape(key)}</Key>{error}</Error>" for key in keys)
        else:
            rows = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
            for key in keys:
                self.store.objects.pop(key, None)
        return f"<DeleteResult>{rows}</DeleteResult>"

    def answer(self, status: int, content: bytes | str = b"", etag: bytes = b"") -> None:
        content = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        self.send_header("ETag", f'"{hashlib.md5(etag).hexdigest()}"')
        self.send_header("Last-Modified", "Sat, 21 Nov 2026 03:20:00 GMT")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
