"""The examples of docs/greenarrow.md, pasted into a shell with a real token, against a real server."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from api.greenarrow.renderers import CODES
from tests.greenarrow.conftest import make_token, make_user
from tests.races import in_the_open

pytestmark = [pytest.mark.server, in_the_open]

PAGE = Path(__file__).parents[2] / "docs" / "greenarrow.md"


def examples():
    """Return (command, answer) of each curl command that is followed by its answer."""
    blocks = re.findall(r"```bash\n(curl .*?)```\s+```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [(command.strip(), json.loads(answer)) for command, answer in blocks]


def masked(value):
    """Return an answer without its ids, which are other ones in every database."""
    if isinstance(value, dict):
        return {key: "id" if key == "id" else masked(each) for key, each in value.items()}
    return [masked(each) for each in value] if isinstance(value, list) else value


def test_the_page_s_examples_answer_as_they_say(live_server):
    token = make_token(make_user("operator", "yes"))
    address_id = ""
    assert len(examples()) == 4
    for command, answer in examples():
        pasted = (
            command.replace("YOUR_TOKEN", token)
            .replace("http://localhost:8000", live_server.url)
            .replace("/ip_addresses/1", f"/ip_addresses/{address_id}")
        )
        done = subprocess.run(["bash", "-c", f"{pasted} -sS"], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        assert masked(found) == masked(answer), command
        if found["success"] and "hostname" in (record := found["data"].get("ip_address", {})):
            address_id = record["id"]


def test_every_error_code_is_on_the_page():
    told = set(re.findall(r"^  \| `(\w+)` \| \d+ \|", PAGE.read_text(), re.MULTILINE))
    assert told == set(CODES.values())
