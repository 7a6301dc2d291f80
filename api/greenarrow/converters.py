"""Ids in URLs."""

from core.references import whole_id


class IdConverter:
    """A number that a record may have; any other is no URL of ours."""

    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        """Return the id; ValueError means that the URL does not match."""
        found = whole_id(value)
        if found is None:
            raise ValueError(value)
        return found

    def to_url(self, value: int) -> str:
        """Return the id as text."""
        return str(value)
