"""`start_date` and `end_date`, as two endpoints take them."""

import datetime
from collections.abc import Mapping
from typing import Any

from api.postal.parameters import Moment
from api.postal.problems import BACKWARDS, fault

_FAULT = "Invalid date format. Use ISO 8601 format (e.g., 2025-01-01T00:00:00Z)"

DATE_RANGE = (
    Moment("start_date", "The start of the range", required=True, example="2025-01-01T00:00:00Z", wrong=_FAULT),
    Moment("end_date", "The end of the range", required=True, example="2025-01-31T23:59:59Z", wrong=_FAULT),
)


def range_of(given: Mapping[str, Any]) -> tuple[datetime.datetime, datetime.datetime]:
    """Return both ends in UTC; declines a range that ends before it starts."""
    start, end = given["start_date"], given["end_date"]
    if start > end:
        raise fault(BACKWARDS)
    return start, end
