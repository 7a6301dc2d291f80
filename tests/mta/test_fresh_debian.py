"""The commands of docs/agent.md make a fresh Debian a node, word for word; then a limit is lowered, obeyed and taken back."""

import contextlib
import pathlib
import re
import shlex
import shutil
import smtplib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.mta import outside
from tests.mta.background import beside
from tests.mta.debian import CannotBoot, Debian, booted
from tests.mta.inside_sluice import act
from tests.mta.machine import state_folder
from tests.mta.namespace import CannotBeMade, Namespace, namespace
from tests.mta.receivers import Sink
from tools import panel

pytest.importorskip(
    "playwright", reason="Playwright is not installed (make install-browser), so no browser lowers a limit"
)

from playwright.sync_api import Page

from tests.e2e.browser import NoBrowser, Watched, context_of, launched, sign_in

pytestmark = [pytest.mark.server, pytest.mark.long, pytest.mark.live]
GUIDE = panel.ROOT / "docs/agent.md"
ADDRESSES = ["203.0.113.11", "203.0.113.12"]
SUBMISSION = ("127.0.0.1", 587)
PER_SECOND = 3
TRUSTED = "usr/local/share/ca-certificates/panel.crt"
# What Debian's own Postfix has, and whether it runs.
OF_DEBIAN = "cd /etc/postfix && find . -type f | sort | xargs sha256sum && postfix -c /etc/postfix status"


def commands() -> tuple[list[str], list[str]]:
    """Return the commands of the guide: those on the panel, and those on the machine."""
    text = GUIDE.read_text()
    section = text[text.index("## A Postfix on a fresh Debian machine") : text.index("The first command asks")]
    blocks = re.findall(r"(?:^    .+\n)+", section, re.MULTILINE)
    on_panel, on_machine = ([line.strip() for line in block.splitlines()] for block in blocks)
    return on_panel, on_machine


def test_the_guide_makes_a_fresh_debian_a_node(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_panel, on_machine = commands()
    assert len(on_machine) == 6
    monkeypatch.setenv("SLUICE_PUBLISH", "manual")
    environment = panel.surroundings(tmp_path) | {"ALLOWED_HOSTS": f"localhost,127.0.0.1,{outside.PANEL_NAME}"}
    chain, context = outside.certificate(tmp_path)
    sink = Sink()
    try:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(state_folder())
            machine, world = stack.enter_context(namespace()), stack.enter_context(namespace())
            outside.connect(machine, world, ADDRESSES)
            debian = stack.enter_context(booted(machine, on_machine[0].removeprefix("apt install "), folder))
            sluice = stack.enter_context(panel.up(tmp_path, environment=environment))
            stack.enter_context(outside.serving(world, sink, sluice.url, context))
            password = act(sluice, "prepare_limit", *ADDRESSES)["password"]
            key = make_node(sluice, on_panel, debian)

            become_a_node(debian, on_machine, key, chain)
            wait(lambda: act(sluice, "node")["revision"] == 1, 120, lambda: journal(debian))
            assert act(sluice, "node")["error"] == ""

            with flowing(machine, password):
                story(sluice, sink, tmp_path)
            assert sources(sink) == {(ip, f"mta{ip[-2:]}.acme.example") for ip in ADDRESSES}
            survives_a_reboot(debian, machine)
            send(machine, password)
            wait(lambda: any(each.to == "last@web.de" for each in sink.record.acts), 30, lambda: journal(debian))
    except (CannotBeMade, CannotBoot, NoBrowser) as reason:
        pytest.skip(str(reason))


def make_node(sluice: panel.Up, on_panel: list[str], debian: Debian) -> str:
    """Run what the guide says for the panel, and copy to the machine what it says."""
    create, export, publishing = (shlex.split(line.removeprefix("python manage.py ")) for line in on_panel)
    found = re.search(r"shown only once: (\S+)", sluice.manage(*create))
    assert found
    exported = pathlib.Path(sluice.environment["SLUICE_DATA_DIR"]) / export[1]
    sluice.manage(export[0], str(exported))
    for name in ("sluice_agent.py", "sluice-agent.service"):
        shutil.copy(exported / name, debian.folder / "root" / name)
    sluice.manage(*publishing)
    return found[1]


def become_a_node(debian: Debian, on_machine: list[str], key: str, chain: pathlib.Path) -> None:
    """Type the commands; those after the first need nothing from outside but the panel."""
    print(debian.type(on_machine[0])[-300:])
    before = debian.run(OF_DEBIAN)
    assert before.returncode == 0, before
    # Any certificate authority that Debian knows would do for a panel with a public name.
    shutil.copy(chain, debian.folder / TRUSTED)
    done = debian.run("update-ca-certificates")
    assert done.returncode == 0, done.stderr
    for command in on_machine[1:]:
        done = debian.run(command.replace("THE KEY", key))
        assert done.returncode == 0, (command, done.stderr)
    after = debian.run(OF_DEBIAN)
    assert (after.returncode, after.stdout) == (0, before.stdout), after


def story(sluice: panel.Up, sink: Sink, pictures: pathlib.Path) -> None:
    """Lower a limit in the panel, look at what that would do, publish, see it obeyed, and take it back."""
    time.sleep(30)
    print("before:", rates(sink, 20))
    assert rates(sink, 20)["gmail.com"] > 20
    with launched() as browser:
        watched = Watched(context_of(browser, base_url=sluice.url), sluice.url)
        page = watched.page
        sign_in(page, sluice.url, sluice.operator, sluice.password)
        page.goto("/admin/nodes/node/")
        assert "applied" in page.get_by_role("row").filter(has_text="mta1").inner_text().casefold()
        page.screenshot(path=pictures / "node.png")
        print("the form says:", lower(page, pictures / "limit.png"))
        print("the replay says:", publish(page, "/admin/nodes/revision/publish/", "Publish", pictures / "publish.png"))
        obeyed = wait(lambda: rates(sink, 20)["gmail.com"] <= 5, 60, lambda: str(rates(sink, 20)))
        time.sleep(60)
        print(f"obeyed after {obeyed:.0f} s (looking back 20 s); in a minute:", rates(sink, 60))
        assert act(sluice, "node") | {"version": ""} == {"revision": 2, "error": "", "version": ""}
        # 360 an hour on each of two addresses are 6 a minute on each; Postfix uses at least 0.8 of it.
        assert 9 <= rates(sink, 60)["gmail.com"] <= 14
        assert rates(sink, 60)["yahoo.com"] > 40
        page.goto("/admin/nodes/revision/")
        page.get_by_role("link", name="r1", exact=True).first.click()
        page.get_by_role("link", name="Publish it again").click()
        print("taking it back says:", publish(page, page.url, "Publish r1 again", pictures / "again.png"))
        wait(lambda: rates(sink, 20)["gmail.com"] > 20, 60, lambda: str(rates(sink, 20)))
        print("afterwards:", rates(sink, 20))
        assert watched.problems == []


def lower(page: Page, picture: pathlib.Path) -> str:
    """Lower the limit of gmail.com, and return what the form says before it is saved."""
    page.goto("/admin/throttling/throttlingtemplate/?q=Large")
    page.get_by_role("link", name="Large providers", exact=True).first.click()
    page.locator("input[value='7200']").fill("360")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("Not saved yet").wait_for()
    page.screenshot(path=picture, full_page=True)
    said = page.locator("body").inner_text()
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_load_state("networkidle")
    return next(line for line in said.splitlines() if "would have delayed" in line)


def publish(page: Page, path: str, button: str, picture: pathlib.Path) -> str:
    """Replay, publish, and return what the replay says."""
    page.goto(path)
    page.get_by_role("button", name="Replay the mail of the last seven days").click()
    page.locator("#replay").get_by_text("computed").wait_for()
    page.screenshot(path=picture, full_page=True)
    said = page.locator("#replay").inner_text()
    page.get_by_role("button", name=button, exact=True).click()
    page.get_by_text("is published").wait_for()
    return said


def session(machine: Namespace, password: str) -> smtplib.SMTP:
    client = machine.inside(lambda: smtplib.SMTP(*SUBMISSION, timeout=60))
    client.ehlo("app.acme.example")
    client.login("acme/mail", password)
    return client


def send(machine: Namespace, password: str) -> None:
    with session(machine, password) as client:
        client.sendmail("news@acme.example", ["last@web.de"], "Subject: x\r\n\r\nhello\r\n")


def sources(sink: Sink) -> set[tuple[str, str]]:
    """Return the addresses that mail came from, and the names that they said in EHLO."""
    return {(act.source, act.helo) for act in sink.record.acts}


@contextlib.contextmanager
def flowing(machine: Namespace, password: str) -> Iterator[None]:
    """Submit some messages a second at the machine, as a customer's application does."""
    client = session(machine, password)

    def flow(is_over: threading.Event) -> None:
        number = 0
        while not is_over.wait(1 / PER_SECOND):
            number += 1
            domain = "yahoo.com" if number % PER_SECOND == 0 else "gmail.com"
            client.sendmail("news@acme.example", [f"reader{number}@{domain}"], "Subject: x\r\n\r\nhello\r\n")

    try:
        with beside(flow):
            yield
    finally:
        client.close()


def rates(sink: Sink, seconds: float) -> dict[str, int]:
    """Return how many messages each receiver took lately."""
    since = time.time() - seconds
    return {
        domain: sum(act.at >= since and act.domain == domain for act in list(sink.record.acts))
        for domain in ("gmail.com", "yahoo.com")
    }


def survives_a_reboot(debian: Debian, machine: Namespace) -> None:
    """Boot it again: it takes mail by the policy that it had."""
    debian.reboot()

    def answers() -> bool:
        with contextlib.suppress(OSError, smtplib.SMTPException):
            machine.inside(lambda: smtplib.SMTP(*SUBMISSION, timeout=5)).close()
            return True
        return False

    print(f"takes mail {wait(answers, 60, lambda: journal(debian)):.0f} s after it has booted again")


def wait(is_so: Callable[[], bool], seconds: float, said: Callable[[], str]) -> float:
    """Wait until something is so, and return how long it took."""
    started = time.monotonic()
    while not is_so():
        assert time.monotonic() - started < seconds, said()
        time.sleep(0.5)
    return time.monotonic() - started


def journal(debian: Debian) -> str:
    return debian.run("systemctl status sluice-agent; journalctl -u sluice-agent -n 40 --no-pager").stdout
