"""The samples of real mail servers, and what the readers make of them, written whole.

`python -m tests.stats.intake.goldens` writes the outcomes anew: read the difference before it is committed.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from stats.intake import sources

SAMPLES = Path(__file__).parent / "samples"
# 27 November 2026, when the samples were collected.
NOW = 1795746904.0


class Sample(NamedTuple):
    """A file, its format, and the server that its events get where they name none."""

    format: str
    file: str
    default: str = ""
    settings: dict[str, Any] = {}

    @property
    def path(self) -> Path:
        return SAMPLES / self.format / self.file

    @property
    def outcomes(self) -> Path:
        return self.path.with_suffix(".outcomes.ndjson")

    @property
    def events(self) -> Path:
        """What the laboratory expected of it, by the old event: without optional fields and late bounces."""
        return self.path.with_suffix(".events.ndjson")


ALL = (
    Sample("postfix", "all-outcomes.log"),
    Sample("postfix", "front-and-pools.log"),
    Sample("postfix", "address-not-on-node.log", default="acme/marketing"),
    Sample("postfix", "short-queue-ids.log"),
    Sample("postfix", "rsyslog-rfc3339.log"),
    Sample("exim", "mainlog.log"),
    Sample("exim", "mainlog-without-incoming_interface.log"),
    Sample("haraka", "plugin-events.ndjson"),
    Sample("kumomta", "records.ndjson"),
    Sample("powermta", "acct.csv"),
    Sample("greenarrow", "batch.json", default="acme/marketing"),
    Sample("postal", "webhooks.ndjson", default="acme/marketing"),
    Sample("ses", "events.ndjson"),
    Sample("sendgrid", "batch.json"),
)


def read(sample: Sample) -> list[sources.Outcome]:
    reader = sources.make(sample.format, sources.Settings(now=NOW, **sample.settings))
    with sample.path.open("rb") as stream:
        return [*reader.read([stream]), *reader.finish()]


def as_json(outcome: sources.Outcome) -> dict[str, Any]:
    """Return the outcome with its name, without what it does not say."""
    said = {
        name: value for name, value in outcome._asdict().items() if value not in ("", (), None, 0) or name == "index"
    }
    return {"outcome": type(outcome).__name__, **json.loads(json.dumps(said))}


if __name__ == "__main__":
    for each in ALL:
        lines = [json.dumps(as_json(outcome), ensure_ascii=False) + "\n" for outcome in read(each)]
        each.outcomes.write_text("".join(lines))
        print(f"{each.outcomes}: {len(lines)}")
