"""`make mutants`: mutation testing with mutmut, reporting mutants that no test detects.

`python -m tools.mutants [--seconds 900]` looks at the modules of MUTATED with their own tests, in a copy of the tree. It ends
with status 1 where a change survives that is not explained in EXPLAINED. mutmut stays out of the locks: it is installed into a
folder of its own, `.venv-mutants`. It leaves decorated functions and the bodies of classes alone.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT / ".venv-mutants"
MUTMUT = "mutmut==3.8.1"
MUTATED = {
    "throttling/limits.py": "tests/throttling/test_limits.py",
    "throttling/domains.py": "tests/throttling/test_domains.py",
    "api/problems.py": "tests/api/test_problems.py",
}
# The changed line → why no test should notice.
EXPLAINED = {
    "if len(text) > MAX_DOMAIN_LENGTH + 2:  # Also bounds the work that idna does on a hostile name.": (
        "the guard only bounds the work for hostile names; the length is checked again after it"
    ),
    'name = idna.encode(text, uts46=True).decode("ASCII").lower()': "the same codec",
    "name = pattern.removeprefix(ITSELF_AND_SUBDOMAINS).removesuffix(SUBDOMAINS)": (
        "a wildcard is then tried on subdomains named `*` and `?.*`: as good as any other subdomain"
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools.mutants", description=__doc__)
    parser.add_argument("--seconds", type=int, default=900, help="what is not tried by then is left")
    options = parser.parse_args()
    install()
    with tempfile.TemporaryDirectory(prefix="sluice-mutants-") as folder:
        copy_to(Path(folder))
        command = [str(TOOL / "bin" / "mutmut"), "run"]
        try:
            done = subprocess.run(
                command, cwd=folder, env=surroundings(), capture_output=True, text=True, timeout=options.seconds
            )
        except subprocess.TimeoutExpired:
            sys.exit(f"Not finished after {options.seconds} s: no result.")
        if done.returncode:
            print(done.stdout[-3000:], done.stderr[-3000:])
            return done.returncode
        tried, changes = re.findall(r"(\d+)/(\d+) ", done.stdout)[-1]
        print(f"{tried} of {changes} changes tried")
        return judge(Path(folder))
    raise AssertionError("unreachable")


def install() -> None:
    """Make the tool's folder, which sees what the tests need through a path of .venv's."""
    python = TOOL / "bin" / "python"
    if not (TOOL / "bin" / "mutmut").exists():
        subprocess.run([sys.executable, "-m", "venv", str(TOOL)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", MUTMUT]
        subprocess.run(pip, check=True)
    there = f"import sysconfig; print(sysconfig.get_path('purelib', vars={{'base': {str(TOOL)!r}}}))"
    found = subprocess.run([str(python), "-c", there], check=True, capture_output=True, text=True).stdout.strip()
    (Path(found) / "sluice.pth").write_text(sysconfig.get_path("purelib") + "\n")


def copy_to(folder: Path) -> None:
    """Copy what git knows of the tree, and tell mutmut what to change and what to run."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [name for name in listed.split("\0") if name and (ROOT / name).exists()]
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    lines = ["[mutmut]", "source_paths=", *(f"    {path}" for path in MUTATED)]
    lines += ["pytest_add_cli_args_test_selection=", *(f"    {path}" for path in MUTATED.values())]
    # pytest looks at the plugins that are installed; these have no part in it.
    lines += ["pytest_add_cli_args=", *(f"    -pno:{name}" for name in ("playwright", "schemathesis", "base_url"))]
    lines += ["also_copy=", *sorted({f"    {name.partition('/')[0]}" for name in files})]
    (folder / "setup.cfg").write_text("\n".join(lines) + "\n")


def surroundings() -> dict[str, str]:
    """Return an environment in which the tests run embedded, whatever ours is."""
    return {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "REDIS_URL"}}


def judge(folder: Path) -> int:
    """Print each surviving mutant; return 1 if one has no explanation."""

    def mutmut(*arguments: str) -> str:
        command = [str(TOOL / "bin" / "mutmut"), *arguments]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout

    unexplained = 0
    for line in mutmut("results").splitlines():
        name, _, outcome = line.strip().partition(": ")
        if outcome == "timeout":
            # The tests did not end with it: they noticed.
            continue
        removed, added = changed(mutmut("show", name))
        reason = EXPLAINED.get(added)
        unexplained += reason is None
        print(f"{name} {outcome}\n  - {removed}\n  + {added}\n  {reason or 'NOT EXPLAINED: a test is missing'}")
    print(f"{unexplained} survivors without an explanation")
    return 1 if unexplained else 0


def changed(difference: str) -> tuple[str, str]:
    """Return the line before and after, out of a difference of one line."""

    def only(sign: str) -> str:
        found = [line[1:].strip() for line in difference.splitlines() if line.startswith(sign)]
        return next((line for line in found if not line.startswith((sign * 2, f"{sign} "))), "")

    return only("-"), only("+")


if __name__ == "__main__":
    sys.exit(main())
