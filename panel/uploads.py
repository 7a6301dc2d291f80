"""Upload handler: small files only, kept in memory, so that uploads cannot fill a disk."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import MemoryFileUploadHandler

# Bytes of a whole request with a file: twice the limit of imports, so that a slightly larger file gets the import's error.
LARGEST_REQUEST = 4 * 1024 * 1024


class SmallFiles(MemoryFileUploadHandler):
    """Refuses a request by the length that it announces, before anything of it is read (a form cannot come without one)."""

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *rest: Any) -> None:  # noqa: N803 - Django's name
        """Raise RequestDataTooBig, which is answered 400, or take every file of the request."""
        if content_length > LARGEST_REQUEST:
            raise RequestDataTooBig(f"A request with files may have {LARGEST_REQUEST} bytes.")
        self.activated = True
