"""The cast of all tests: those of domains, beside these, have one of their own."""

from tests.conftest import acme, globex, suspended

__all__ = ["acme", "globex", "suspended"]
