"""Follow the README's second way word for word in an engine of its own: `python -m tools.check_compose` (root).

A Debian machine with its own Docker and Compose runs in namespaces and reaches nobody (tools/engine.py). Where no registry
gives the images that the Dockerfile and compose.yaml name, stand-ins have their names (tools/stand_ins/Dockerfile). What is
typed is what README.md and docs/operations.md say, with `localhost` for the name of the panel.
"""

import contextlib
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from tools import engine, images, newcomer, servers
from tools.images import ROOT

URL = "https://localhost"
FOLDER = "/srv/sluice"
# The images of compose.yaml, by the targets of tools/stand_ins/Dockerfile.
NAMES = {"postgres": "postgres:18", "valkey": "valkey/valkey:9", "caddy": "caddy:2"}
PACKAGES = "python3 -m http.server 8099 --bind 172.17.0.1 --directory /packages"
CERTIFICATE = "/data/caddy/pki/authorities/local/root.crt"
WITHIN = 120
# Before the commands of the documents.
INSTALL = "### One server: Docker Compose"
UPGRADE = "To upgrade, let the new image"
RESTORE = "To restore a backup on a new server"


def main() -> int:
    """Do it; the status is 1 where something is not as promised."""
    return follow(
        "compose",
        images.missing(),
        "root and Debian's buildah, debootstrap and util-linux",
        machine_with_images,
        lambda machine, folder: walk(Newcomer(machine, folder)),
    )


def follow[Booted](
    name: str,
    missing: list[str],
    needed: str,
    boot: Callable[[Path], contextlib.AbstractContextManager[Booted]],
    steps: Callable[[Booted, Path], None],
) -> int:
    """Boot machines in a folder of their own and take the steps there; return 0 also where they cannot be had, and say why.

    `missing` names what is not installed of what is `needed`.
    """
    if os.geteuid() != 0 or missing:
        print(f"Skipped: this needs {needed}; missing: {missing}")
        return 0
    # Not in /tmp, which may be in memory.
    with (
        servers.ended_by_signals(),
        tempfile.TemporaryDirectory(prefix=f"sluice-{name}-", dir="/var/tmp") as folder,
        contextlib.ExitStack() as stack,
    ):
        try:
            booted = stack.enter_context(boot(Path(folder)))
        except engine.CannotRun as reason:
            print(f"Skipped: {reason}")
            return 0
        steps(booted, Path(folder))
    return 0


@contextlib.contextmanager
def machine_with_images(folder: Path) -> Iterator[engine.Engine]:
    """Boot a machine whose engine has every image that is asked for, with this checkout in FOLDER."""
    base, packages, loaded = provide(NAMES)
    with (
        images.unpacked(images.stand_in("engine", base)) as (root, _),
        engine.running(root, folder, packages) as machine,
    ):
        for name, image in loaded.items():
            machine.load(image, name)
        lay_checkout(machine)
        print(
            machine.run("docker version --format 'Docker {{.Server.Version}}'; docker compose version").stdout.strip()
        )
        with packages_served(machine):
            yield machine


def provide(names: dict[str, str]) -> tuple[str, Path, dict[str, str]]:
    """Return the base image, the folder of packages, and the images that take the names of the Dockerfile's base and of these.

    `names` are by the targets of tools/stand_ins/Dockerfile.
    """
    base, what = images.provide_base()
    packages = images.locked_packages(base, ["base", "build"])
    loaded = {images.wanted_base(): images.stand_in("python", base)}
    for target, name in names.items():
        loaded[name] = name if images.pulled(name) else images.stand_in(target, base)
    stand_ins = [f"{what} for {name}" for name, what in images.STAND_INS.items() if loaded.get(name, name) != name]
    print(f"The image is built {what}; stand-ins: {', '.join(stand_ins) or 'none'}")
    return base, packages, loaded


def lay_checkout(machine: engine.Engine) -> None:
    """Copy this checkout, as it is, into FOLDER on a machine."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    home = machine.root / FOLDER.lstrip("/")
    for path in filter(None, images.said(listed).split("\0")):
        if (ROOT / path).is_file():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, home / path)


@contextlib.contextmanager
def packages_served(machine: engine.Engine) -> Iterator[None]:
    """Serve the packages to builds on a machine until the block ends."""
    server = machine.started(PACKAGES)
    try:
        yield
    finally:
        server.kill()
        server.wait()


def commands(document: str, after: str) -> list[str]:
    """Return the commands that stand in a document after these words."""
    text = (ROOT / document).read_text()
    rest = text[text.index(after) :]
    fenced = re.search(r"^```bash\n(.+?)^```", rest, re.MULTILINE | re.DOTALL)
    indented = re.search(r"(?:^    .+\n)+", rest, re.MULTILINE)
    block = (
        fenced[1]
        if fenced and (indented is None or fenced.start() < indented.start())
        else indented[0]
        if indented
        else ""
    )
    typed: list[str] = []
    for line in block.splitlines():
        # A subshell may have several lines.
        if typed and typed[-1].count("(") > typed[-1].count(")"):
            typed[-1] += f"\n{line.strip()}"
        else:
            typed.append(line.strip())
    return typed


class Newcomer:
    """Somebody who types commands in the checkout on the machine, and opens the panel there."""

    def __init__(self, machine: engine.Engine, folder: Path) -> None:
        self.machine, self._folder = machine, folder

    def type(self, command: str) -> str:
        """Type a command and return what it prints. Raises NotAsPromised where it fails."""
        started = time.monotonic()
        done = self.machine.run(command, folder=FOLDER)
        print(f"{time.monotonic() - started:5.0f} s  {command}", flush=True)
        if done.returncode:
            raise newcomer.NotAsPromised(f"it ended with {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
        return done.stdout

    def sluice(self, *words: str) -> str:
        """Run a command of Sluice as a script does."""
        return self.type("docker compose exec -T web sluice " + " ".join(f"'{word}'" for word in words))

    def trust(self) -> None:
        """Take Caddy's own authority for one that is known, as a browser does after its warning."""
        chain = self._folder / "root.crt"
        chain.write_text(self.type(f"docker compose exec -T proxy cat {CERTIFICATE}"))
        os.environ["SSL_CERT_FILE"] = str(chain)

    def answers(self) -> bool:
        """Tell whether the panel is ready."""

        def ask() -> bool:
            with contextlib.suppress(OSError), _opener().open(f"{URL}/readyz", timeout=40) as answer:
                return bool(answer.status == 200)
            return False

        return self.machine.inside(ask)

    def wait(self, what: str) -> None:
        """Wait until the panel is ready again."""
        started = time.monotonic()
        while not self.answers():
            if time.monotonic() - started > WITHIN:
                raise newcomer.NotAsPromised(f"{what}: no answer within {WITHIN} s")
            time.sleep(0.5)
        print(f"{time.monotonic() - started:5.0f} s  {what}: it answers again", flush=True)

    def events(self) -> int:
        """Return how many events are stored, after comparing every count with them."""
        self.sluice("roll_up_stats")
        said = self.sluice("audit_stats")
        [number] = re.findall(r"^([\d,]+) events? of .*: all counts match", said, re.MULTILINE)
        return int(number.replace(",", ""))


class Load(threading.Thread):
    """Requests from the outside, one after the other, until it is told to stop: events are sent, and a page is read."""

    def __init__(self, machine: engine.Engine, key: str) -> None:
        super().__init__(daemon=True)
        self._machine, self._key = machine, key
        self.outcomes: Counter[str] = Counter()
        self.longest = 0.0
        self.is_over = threading.Event()

    def run(self) -> None:
        self._machine.inside(self._send)

    def _send(self) -> None:
        opener, number = _opener(), 0
        headers = {"X-Server-API-Key": self._key, "Content-Type": "application/json"}
        while not self.is_over.is_set():
            number += 1
            at = time.time()
            event = f'{{"id": "{self.name}-{number}", "type": "sent", "at": {at}, "from": "a@acme.example", "to": "b@web.de"}}'
            for request in (
                urllib.request.Request(f"{URL}/api/v1/events", event.encode(), headers),  # noqa: S310 - our own address
                urllib.request.Request(f"{URL}/admin/login/"),  # noqa: S310 - our own address
            ):
                started = time.monotonic()
                try:
                    with opener.open(request, timeout=70) as answer:
                        answer.read()
                        self.outcomes["answered" if answer.status == 200 else str(answer.status)] += 1
                except OSError as problem:
                    self.outcomes[f"{request.get_method()}: {problem}"] += 1
                self.longest = max(self.longest, time.monotonic() - started)
            time.sleep(0.05)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def walk(person: Newcomer) -> None:
    """Install, use, grow, upgrade, break and restore."""
    install(person)
    look_inside(person)
    person.type("echo SLUICE_WORKERS=3 >> .env")
    person.type("docker compose up --detach --wait")
    assert person.type("docker compose ps --format '{{.Service}}'").split().count("worker") == 3
    sent = upgrade(person)
    assert person.events() == 1 + sent
    restore(person)
    assert person.events() == 1 + sent
    person.type("kill -9 $(docker inspect --format '{{.State.Pid}}' sluice-web-1)")
    person.wait("a process of web was killed")
    person.machine.cut_power()
    person.machine.start()
    person.wait("the machine lost its power")
    assert person.events() == 1 + sent
    person.type("docker compose down")
    person.type("docker compose up --detach --wait")
    assert person.events() == 1 + sent
    assert len(person.type("docker volume ls --quiet").split()) == 4
    print("no request failed in the upgrade; every event is there after restore, crash, power cut, down and up")


def install(person: Newcomer) -> None:
    """Do what the README says, sign in, and see an event counted."""
    typed = commands("README.md", INSTALL)
    assert typed[0].startswith("docker build")
    *_, greeting = [person.type(each.replace("panel.example.com", "localhost")) for each in typed]
    person.trust()
    person.machine.inside(lambda: newcomer.sign_in(URL, *newcomer.credentials(greeting)))
    counted = person.machine.inside(lambda: newcomer.count_an_event(URL, person.sluice))
    print(f"signed in at {URL}, {counted} event counted")


def look_inside(person: Newcomer) -> None:
    """See that a container may do little."""
    for service in ("web", "worker", "beat"):
        said = person.type(
            f"docker compose exec -T {service} sh -c "
            "'touch /x /opt/sluice/x 2>&1; id -u; grep -E \"CapEff|NoNewPrivs\" /proc/self/status'"
        )
        lines = said.splitlines()
        assert [line.endswith("Read-only file system") for line in lines[:2]] == [True, True], said
        assert lines[2:] == ["10001", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"], said


def upgrade(person: Newcomer) -> int:
    """Upgrade as docs/operations.md says while requests go on; return how many events were accepted."""
    key = new_key(person)
    person.type("echo '# Another version' >> sluice/__init__.py")
    build, *rest = commands("docs/operations.md", UPGRADE)
    person.type(build)
    with under_load(person.machine, key) as outcomes:
        for command in rest:
            person.type(command)
    return outcomes["answered"] // 2


def new_key(person: Newcomer) -> str:
    """Return the key of a server for requests that are only load."""
    return str(re.findall(r'"api_key": "([^"]+)"', person.sluice("create_server", "acme", "Load", "--json"))[0])


@contextlib.contextmanager
def under_load(machine: engine.Engine, key: str) -> Iterator[Counter[str]]:
    """Send requests until the block ends; the counter then has their outcomes. Raises NotAsPromised where one failed."""
    loads = [Load(machine, key) for _ in range(3)]
    outcomes: Counter[str] = Counter()
    for each in loads:
        each.start()
    try:
        yield outcomes
    finally:
        for each in loads:
            each.is_over.set()
        for each in loads:
            each.join()
            outcomes.update(each.outcomes)
        print(
            f"requests meanwhile: {dict(outcomes)}, the longest {max(each.longest for each in loads):.1f} s", flush=True
        )
    if set(outcomes) != {"answered"}:
        raise newcomer.NotAsPromised(f"requests failed: {outcomes}")


def restore(person: Newcomer) -> None:
    """Back up, copy, and restore as docs/operations.md says."""
    for command in (
        "docker compose exec worker sluice backup /backups/today.jsonl.gz",
        "docker compose cp worker:/backups .",
    ):
        assert f"`{command}`" in (ROOT / "docs/operations.md").read_text()
        person.type(command)
    for command in commands("docs/operations.md", RESTORE):
        person.type(re.sub(r"sluice-[\d-]+", "today", command))


if __name__ == "__main__":
    sys.exit(main())
