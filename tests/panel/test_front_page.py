"""Sums of the front page. (What it shows to whom: test_dashboard.py.)"""

import datetime

from panel.dashboard import front_page

HOUR = datetime.timedelta(hours=1)


def test_a_part_of_an_hour_is_the_part_of_its_messages():
    start = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
    points = [front_page.Point(start + hour * HOUR, front_page.Counts(sent=60)) for hour in range(4)]
    assert front_page._between(points, start, start + 1.25 * HOUR).sent == 75
