"""`python -m tests.soak [--seconds N] [--callers N]`: what `make soak` runs. It fails on any error, loss or leak."""

import argparse
import base64
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.client import wait_until
from tests.faults.installation import Installation, running
from tests.soak.callers import Caller, Tally
from tests.soak.processes import ALLOWED_MEBIBYTES, Watch
from tools import servers

# Less than this says nothing of memory: caches are still filling.
JUDGED_FROM = 120


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--callers", type=int, default=8)
    given = parser.parse_args()
    with (
        servers.ended_by_signals(),
        tempfile.TemporaryDirectory(prefix="sluice-soak-") as folder,
        running(Path(folder)) as installation,
    ):
        return soak(installation, seconds=given.seconds, callers=given.callers)
    raise AssertionError("unreachable")


def soak(installation: Installation, *, seconds: int, callers: int) -> int:
    worker, beat = installation.start_worker(), installation.start_beat()
    listed = installation.client.greenarrow("GET", "ip_addresses")
    assert listed is not None
    address = listed.body["data"]["ip_addresses"][0]["id"]
    basic = "Basic " + base64.b64encode(f"operator:{installation.client.token}".encode()).decode()
    tally = Tally()
    watch = Watch(installation, worker.pid, beat.pid)
    threads = [Caller(number, installation, address, basic, tally) for number in range(callers)]
    watch.start()
    began, day = time.monotonic(), time.gmtime().tm_yday
    for thread in threads:
        thread.start()
    while time.monotonic() - began < seconds and len(tally.errors) < 20:
        time.sleep(0.5)
    tally.ended.set()
    for thread in threads:
        thread.join(60)
    took = time.monotonic() - began
    watch.ended.set()
    watch.join()
    cores = watch.cores(took)
    failures = list(tally.errors)
    behind = count_up(installation, tally.events, failures, is_same_day=day == time.gmtime().tm_yday)
    for name, process in (("web", installation.sluice.web), ("worker", worker), ("beat", beat)):
        if process.poll() is not None:
            end = installation.log_of(name)[-1500:] if name != "web" else ""
            failures.append(f"{name} ended with {process.returncode} {end}")
    growth = watch.growth()
    if seconds >= JUDGED_FROM:
        failures += [
            f"{group} {number} grew from {middle} to {end} MiB"
            for group, number, middle, end in growth
            if end - middle > ALLOWED_MEBIBYTES
        ]
    report(tally, took, callers, cores, growth, behind)
    for failure in failures[:20]:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if failures else 0


def count_up(installation: Installation, events: int, failures: list[str], *, is_same_day: bool) -> float:
    """Wait until everything accepted is counted, once, and return how long that took after the last request."""

    def sent() -> int:
        answer = installation.client.postal("servers/show", {"include_stats": True})
        assert answer is not None
        return int(answer.body["data"]["server"]["stats"]["messages_sent_today"])

    if not is_same_day:
        return 0.0
    try:
        seconds = wait_until(lambda: sent() >= events, seconds=120, what=f"{events} events are counted")
    except AssertionError as error:
        failures.append(str(error))
        return 120.0
    if sent() != events:
        failures.append(f"{events} events were accepted and {sent()} are counted")
    installation.sluice.manage("audit_stats")
    return seconds


def report(
    tally: Tally,
    took: float,
    callers: int,
    cores: dict[str, float],
    growth: list[tuple[str, int, float, float]],
    behind: float,
) -> None:
    total = sum(len(each) for each in tally.seconds.values())
    print(f"{took:.0f} s, {callers} callers: {total:,} requests ({total / took:,.0f} a second), ", end="")
    print(f"{tally.events:,} events ({tally.events / took:,.0f} a second), {len(tally.errors)} errors, ", end="")
    print(f"{tally.reconnected} connections made anew; all counted {behind:.1f} s after the last.\n")
    print("| Request | How many | p50 ms | p95 ms | p99 ms | longest ms |\n| --- | --: | --: | --: | --: | --: |")
    for name, seconds in sorted(tally.seconds.items(), key=lambda each: -len(each[1])):
        cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else seconds * 99
        shown = [1000 * value for value in (cuts[49], cuts[94], cuts[98], max(seconds))]
        print(f"| {name} | {len(seconds):,} | " + " | ".join(f"{value:,.0f}" for value in shown) + " |")
    print("\nCores kept busy: " + ", ".join(f"{group} {value}" for group, value in cores.items()))
    print("Memory, middle and end of the run (MiB): ", end="")
    print(", ".join(f"{group} {middle} → {end}" for group, _, middle, end in growth))


if __name__ == "__main__":
    sys.exit(main())
