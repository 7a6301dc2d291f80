"""What `journalctl` writes of Postfix's lines: read, or refused as a whole with the form to use instead."""

import io
import json

import pytest

from stats.intake import sources
from tests.stats.intake.goldens import NOW
from tests.stats.intake.test_log_files import entry
from tests.stats.intake.test_postfix_log import active, client, delivery

# An id that tells no time.
SHORT = "3C0452A09E5"
LINES = [client(SHORT), active(SHORT), delivery(SHORT)]


def read(*lines, zone="UTC", name="postfix"):
    reader = sources.make(name, sources.Settings(now=NOW, time_zone=zone))
    return [*reader.read([io.BytesIO("".join(f"{line}\n" for line in lines).encode())]), *reader.finish()]


def begun(stamp):
    """The lines with another time before them."""
    return [f"{stamp} node1 {line.partition('node1 ')[2]}" for line in LINES]


def times(found):
    assert [each.fields["type"] for each in found] == ["incoming", "sent"], found
    assert {each.fields["server"] for each in found} == {"acme/marketing"}
    return {each.fields["at"] for each in found}


@pytest.mark.parametrize(
    ("stamp", "zone", "at"),
    [
        ("Fri 2026-11-27 02:35:04 UTC", "UTC", "2026-11-27T02:35:04Z"),
        ("Fri 2026-11-27 03:35:04 CET", "Europe/Berlin", "2026-11-27T02:35:04Z"),
        ("Thu 2026-11-26 21:35:04 EST", "America/New_York", "2026-11-27T02:35:04Z"),
        # Zones without letters of their own.
        ("Thu 2026-11-26 23:35:04 -03", "UTC", "2026-11-27T02:35:04Z"),
        ("Fri 2026-11-27 08:05:04 +0530", "UTC", "2026-11-27T02:35:04Z"),
        # The hour that autumn repeats.
        ("Sun 2026-10-25 02:35:04 CEST", "Europe/Berlin", "2026-10-25T00:35:04Z"),
        ("Sun 2026-10-25 02:35:04 CET", "Europe/Berlin", "2026-10-25T01:35:04Z"),
        # short-iso, short-iso-precise, of old and new versions.
        ("2026-11-27T03:35:04+0100", "UTC", "2026-11-27T02:35:04Z"),
        ("2026-11-27T03:35:04.000000+01:00", "UTC", "2026-11-27T02:35:04Z"),
    ],
)
def test_short_forms_are_read_with_their_zones(stamp, zone, at):
    found = times(read(*begun(stamp), zone=zone))
    assert {each.replace(".000Z", "Z") for each in found} == {at}


def test_json_is_read_in_sequences_and_as_events_of_a_server():
    of_json = times(read(*(entry(line) for line in LINES)))
    assert times(read(*(f"\x1e{entry(line)}" for line in LINES))) == of_json
    assert times(read(*(f"data: {entry(line)}\n" for line in LINES))) == of_json


EXPORT = ["__CURSOR=s=1;i=2", "__REALTIME_TIMESTAMP=1795746904518649", "_HOSTNAME=node1", "MESSAGE=x", ""]
VERBOSE = ["Fri 2026-11-27 02:35:04.518649 CET [s=0123456789abcdef0123456789abcdef;i=1;b=2]", "    PRIORITY=6"]
BARE = [line.partition("]: ")[2] for line in LINES]
PRETTY = json.dumps(json.loads(entry(LINES[0])), indent="\t").splitlines()
UNIT = [line.replace("postfix/smtpd", "postfix@-.service") for line in begun("Fri 2026-11-27 02:35:04 UTC")]


@pytest.mark.parametrize(
    "before", [[], ["-- Logs begin at Fri 2026-11-27 02:35:04 UTC, end at … --", "-- Boot 0123 --"]]
)
@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (EXPORT, "`journalctl -o export`"),
        (VERBOSE, "`journalctl -o verbose`"),
        (PRETTY, "`journalctl -o json-pretty`"),
        (BARE, "`journalctl -o cat`"),
        (begun("[  833.904518]"), "`journalctl -o short-monotonic`"),
        (begun("[  833.904518 <    0.000120 >]"), "`journalctl -o short-monotonic`"),
        (UNIT, "`journalctl -o with-unit`"),
        (begun("Fri 2026-11-27 03:35:04 CET"), "The times are in CET, which is not in the source's time zone (UTC)"),
    ],
)
def test_other_forms_are_refused_once_with_what_to_use(lines, said, before):
    [refused] = read(*before, *lines * 20)
    assert (refused.index, refused.code) == (0, "unsupported_log")
    assert said in refused.message
    assert "use `journalctl -o json --all` or `-o short-iso`" in refused.message


def test_a_line_that_was_cut_before_its_message_refuses_no_others():
    found = read(LINES[0].partition("]: ")[2], *LINES)
    assert [each.fields["type"] for each in found if isinstance(each, sources.Event)] == ["incoming", "sent"]


@pytest.mark.parametrize("month", ["nov.", "Okt", "Mär", "Mai", "11月", "11월", "янв", "нояб."])
def test_months_of_another_language_are_refused_once(month):
    [refused] = read(*begun(f"{month} 27 02:35:04"))
    assert refused.message == (
        f"The months are not in English (“{month}”): set LC_ALL=C, or use `journalctl -o json --all` or `-o short-iso`"
    )


@pytest.mark.parametrize("month", ["Nov", "Jan", "May"])
def test_english_months_are_read(month):
    assert len(read(*begun(f"{month} 27 02:35:04"))) == 2
