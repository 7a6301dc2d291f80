"""The examples of README.md and docs/greenarrow.md, pasted into a shell with a real token, against a real server."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from api.greenarrow.renderers import CODES
from tests.api.greenarrow.conftest import make_token, make_user
from tests.races import in_the_open

pytestmark = [pytest.mark.server, in_the_open]

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "greenarrow.md"


def examples(page):
    """Return (command, answer) of each of the dialect's curl commands; the answer is None where the page tells none."""
    blocks = re.findall(r"```bash\n(curl [^`]*?/ga/api/.*?)```(?:\s+```json\n(.*?)```)?", page.read_text(), re.DOTALL)
    return [(command.strip(), json.loads(answer) if answer else None) for command, answer in blocks]


def masked(value):
    """Return an answer without its ids, which are other ones in every database."""
    if isinstance(value, dict):
        return {key: "id" if key == "id" else masked(each) for key, each in value.items()}
    return [masked(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("page", "number"), [("README.md", 2), ("docs/greenarrow.md", 4)])
def test_a_page_s_examples_answer_as_they_say(live_server, page, number):
    token = make_token(make_user("operator", "yes"))
    address_id = ""
    assert len(examples(ROOT / page)) == number
    for command, answer in examples(ROOT / page):
        pasted = (
            command.replace("YOUR_TOKEN", token)
            .replace("http://localhost:8000", live_server.url)
            .replace("/ip_addresses/1", f"/ip_addresses/{address_id}")
        )
        done = subprocess.run(["bash", "-c", f"{pasted} -sS"], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        assert found["success"] or answer, found
        assert answer is None or masked(found) == masked(answer), command
        if found["success"] and "hostname" in (record := found["data"].get("ip_address", {})):
            address_id = record["id"]


def test_every_error_code_is_on_the_page():
    told = set(re.findall(r"^  \| `(\w+)` \| \d+ \|", PAGE.read_text(), re.MULTILINE))
    assert told == set(CODES.values())
