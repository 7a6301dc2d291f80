"""Serve zone files on the loopback interface, to try Sluice with: `python -m tests.serve_zone FILE … [--port 5353]`.

Files are read again when they change. The server is that of the tests, so `make install-test` must have run.
"""

import argparse
import contextlib
import sys
import time
from pathlib import Path

from dnslib import DNSError

from tests.dns_server import LocalDNS

PORT = 5353
LOOK_EVERY = 0.2


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="An authoritative DNS server on the loopback interface.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a zone in master-file form")
    parser.add_argument("--port", type=int, default=PORT)
    options = parser.parse_args()
    with LocalDNS(port=options.port) as server, contextlib.suppress(KeyboardInterrupt):
        tell(f"Serving on {server.address}, over UDP and TCP; Ctrl-C ends it.")
        known = ""
        while True:
            text = "\n".join(file.read_text() for file in options.files if file.exists())
            if text != known:
                known = text
                load(server, text)
            time.sleep(LOOK_EVERY)


def load(server: LocalDNS, text: str) -> None:
    """Serve this zone instead of the one before, unless it cannot be read."""
    try:
        server.replace(text)
    except (DNSError, ValueError) as error:
        tell(f"The zone cannot be read, so the old one stays: {error}")
        return
    tell(f"{sum(len(records) for records in server.zone.records.values())} records")


def tell(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
