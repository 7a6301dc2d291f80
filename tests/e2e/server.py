"""A whole Sluice of one's own for the browser: `up` in a folder that goes away, with demo data where wanted."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools import panel
from tools.panel import ROOT

__all__ = ["ROOT", "Server", "running"]


class Server:
    """Where it is, who may do everything there, and how to give it commands."""

    def __init__(self, sluice: panel.Up) -> None:
        self.url, self.operator, self.password = sluice.url, sluice.operator, sluice.password
        self.manage = sluice.manage
        self.environment = sluice.environment

    def password_of(self, username: str) -> str:
        """Give somebody a new password and return it."""
        return self.manage("reset_password", username).rpartition(":")[2].strip()


@contextlib.contextmanager
def running(*, demo: bool) -> Iterator[Server]:
    """Start it, and end it with all its children when the block ends."""
    with (
        tempfile.TemporaryDirectory(prefix="sluice-e2e-", ignore_cleanup_errors=True) as folder,
        panel.up(Path(folder)) as sluice,
    ):
        server = Server(sluice)
        if demo:
            server.manage("load_demo")
        yield server
