"""Let the tools of each format validate Dockerfile, compose.yaml, .github/ and deploy/: `python -m tools.check_deployment`.

Those that come as Python packages are installed from requirements/deploy.txt into a temporary folder; nginx and systemd are
asked where this machine has them.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
# systemd's own measure: 0 is closed, 10 open.
MOST_EXPOSED = "20"


def main() -> int:
    """Ask each tool; the status is 1 where one refuses."""
    failed = []
    with tempfile.TemporaryDirectory(prefix="sluice-deploy-") as name:
        folder = Path(name)
        for what, command in [*of_packages(folder), *of_systemd(folder), *of_nginx(folder)]:
            done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=surroundings())
            print(f"{what}: {'ok' if done.returncode == 0 else 'failed'}")
            if done.returncode:
                print(done.stdout + done.stderr)
                failed.append(what)
    return 1 if failed else 0


def surroundings() -> dict[str, str]:
    return os.environ | {"SLUICE_HOST": "panel.example.com", "SLUICE_WEB": "web:8000"}


def of_packages(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the checks of tools that are packages."""
    subprocess.run([sys.executable, "-m", "venv", folder / "tools"], check=True)
    programs = folder / "tools" / "bin"
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    subprocess.run([programs / "python", *install, "-r", ROOT / "requirements" / "deploy.txt"], check=True)
    yield "Dockerfile (hadolint)", [str(programs / "hadolint"), "Dockerfile"]
    schema = [str(programs / "check-jsonschema"), "--builtin-schema"]
    yield "compose.yaml", [*schema, "vendor.compose-spec", "compose.yaml"]
    yield "renovate.json", [*schema, "vendor.renovate", "renovate.json"]
    yield "GitHub workflows", [*schema, "vendor.github-workflows", *paths(ROOT / ".github" / "workflows", "*.yml")]
    yield "Caddyfile", [str(programs / "caddy"), "validate", "--adapter", "caddyfile", "--config", "deploy/Caddyfile"]
    # As `kubectl apply --kustomize` sends it.
    sent = subprocess.run([programs / "kubectl", "kustomize", DEPLOY / "kubernetes"], check=True, capture_output=True)
    (folder / "kubernetes.yaml").write_bytes(sent.stdout)
    yield "Kubernetes", [str(programs / "kubernetes-validate"), "--strict", str(folder / "kubernetes.yaml")]


def of_systemd(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the checks of the units; their programs are taken from a folder where they exist."""
    if shutil.which("systemd-analyze") is None:
        print("systemd is not installed: the units are not validated")
        return
    # Beside the units that require it.
    for path in paths(DEPLOY / "systemd", "*.socket"):
        shutil.copy(path, folder)
    for path in [*paths(DEPLOY / "systemd", "*.service"), str(ROOT / "agent" / "sluice-agent.service")]:
        # `verify` wants every program to be there, and an instance of a template.
        copy = folder / Path(path).name.replace("@.", "@1.")
        copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", Path(path).read_text(), flags=re.MULTILINE))
        yield f"systemd: {copy.name}", ["systemd-analyze", "verify", "--man=no", str(copy)]
        if "sluice-agent" not in copy.name:
            # The agent runs an MTA as root; the others are closed as far as a Python web process can be.
            yield (
                f"systemd: exposure of {copy.name}",
                ["systemd-analyze", "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", str(copy)],
            )


def of_nginx(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the check of the site, with a certificate of its own."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None or shutil.which("openssl") is None:
        print("nginx or openssl is not installed: deploy/nginx.conf is not validated")
        return
    key, chain = folder / "key.pem", folder / "fullchain.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=panel.example.com"]
    subprocess.run([*make, "-keyout", key, "-out", chain], check=True, capture_output=True)
    site = (DEPLOY / "nginx.conf").read_text().replace("/etc/ssl/panel.example.com", str(folder))
    (folder / "site.conf").write_text(site)
    places = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = f"pid {folder}/pid; events {{}} http {{ access_log off; {places} include {folder}/site.conf; }}"
    (folder / "nginx.conf").write_text(whole)
    yield "nginx.conf", [nginx, "-t", "-e", "stderr", "-c", str(folder / "nginx.conf")]


def paths(folder: Path, pattern: str) -> list[str]:
    return [str(path) for path in sorted(folder.glob(pattern))]


if __name__ == "__main__":
    sys.exit(main())
