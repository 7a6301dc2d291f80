"""Serve zone files on the loopback interface, to try Sluice with: `python -m tests.serve_zone FILE … [--port 5300]`.

Files that have changed are read again before the next question is answered. The server is that of the tests, so
`make install-test` must have run.
"""

import argparse
import contextlib
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from dnslib import DNSError

from tests.dns_server import LocalDNS

# Not 5353, which many desktops use for multicast DNS.
PORT = 5300


class FilesDNS(LocalDNS):
    """Serves what the files say at the moment of a question."""

    def __init__(self, files: Sequence[Path], *, port: int = 0) -> None:
        self.files = files
        self.lock = threading.Lock()
        # What the files said last; a file that is not there says nothing.
        self.known = ""
        super().__init__(port=port)

    def reply(self, message: bytes, transport: str) -> bytes | None:
        """Answer one message by the files as they are."""
        self.read_files()
        return super().reply(message, transport)

    def read_files(self) -> None:
        """Serve what the files say, if that has changed and can be read; say so either way."""
        with self.lock:
            text = "\n".join(file.read_text() for file in self.files if file.exists())
            if text == self.known:
                return
            self.known = text
            try:
                self.replace(text)
            except (DNSError, ValueError) as error:
                tell(f"The zone cannot be read, so the old one stays: {error}")
                return
            tell(f"{sum(len(records) for records in self.zone.records.values())} records")


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="An authoritative DNS server on the loopback interface.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a zone in master-file form")
    parser.add_argument("--port", type=int, default=PORT)
    options = parser.parse_args()
    with FilesDNS(options.files, port=options.port) as server, contextlib.suppress(KeyboardInterrupt):
        tell(f"Serving on {server.address}, over UDP and TCP; Ctrl-C ends it.")
        server.read_files()
        threading.Event().wait()


def tell(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
