"""compose.yaml, deploy/ and the Dockerfile agree with each other and with the product; `make deploy-check` asks others."""

import base64
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml
from django.core.management import get_commands

from config import health, production, web_arriving, web_worker
from sluice.__main__ import PROCESSES
from sluice.secrets import new_secrets
from tools import check_cluster, check_compose

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# Variables of compose.yaml itself, and those that Python, the Debian package and the shell read.
OWN = {
    "SLUICE_HOST",
    "SLUICE_NETWORK",
    "SLUICE_WEB",
    "SLUICE_WORKERS",
    "POSTGRES_USER",
    "POSTGRES_DB",
    "POSTGRES_PASSWORD",
    "VALKEY_PASSWORD",
}
[GRACE] = map(
    int, re.findall(r"^graceful_timeout = (\d+)$", (ROOT / "config" / "gunicorn.py").read_text(), re.MULTILINE)
)
PYTHONS = {"PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}


def known() -> set[str]:
    """Return the variables that the product reads or documents."""
    sources = [*(ROOT / "config").glob("*.py"), *(ROOT / "sluice").glob("*.py")]
    return {word for path in sources for word in re.findall(r"[\"']([A-Z][A-Z_]{3,})[\"']", path.read_text())}


def objects() -> list[dict[str, Any]]:
    return [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text()) if path.stem != "kustomization"]


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [each for each in objects() if each["kind"] in kinds]


def pods() -> list[dict[str, Any]]:
    return [each["spec"]["template"] for each in of_kind("Deployment", "Job")]


def composed() -> dict[str, dict[str, Any]]:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    return {name: each for name, each in services.items() if each["image"] == "sluice"}


def is_a_command(words: list[str]) -> bool:
    return words[0] in PROCESSES or words[0] in get_commands()


# --- The image and compose.yaml


def test_the_image_names_what_the_product_knows() -> None:
    given = set(re.findall(r"^(?:ENV|   ) +([A-Z_]+)=", DOCKERFILE, re.MULTILINE))
    assert given >= {"SLUICE_BIND", "SLUICE_DATA_DIR", "SLUICE_STATIC_ROOT"}
    assert given <= known() | PYTHONS | {"DATABASE_URL", "PIP_DISABLE_PIP_VERSION_CHECK"}
    assert re.findall(r"^CMD \[\"(\w+)\"\]", DOCKERFILE, re.MULTILINE) == ["web"]
    assert "HEALTHCHECK" not in re.sub("^#.*", "", DOCKERFILE, flags=re.MULTILINE)


def test_the_image_has_every_application() -> None:
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    admitted = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert admitted >= {*shipped["only-include"], *shipped["force-include"]}


def test_the_image_can_have_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    admitted = set((ROOT / ".dockerignore").read_text().splitlines())
    assert admitted >= {f"!requirements/{lock}.txt" for lock in ("base", "build", *extras)}


def test_compose_starts_what_there_is() -> None:
    services = composed()
    assert list(services) == ["migrate", "web", "worker", "beat"]
    for name, service in services.items():
        assert is_a_command(service["command"].split()), name
        assert set(service["environment"]) <= known(), name
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["tmpfs"] == ["/tmp", "/data:uid=10001,gid=10001,mode=0700"]
        assert service["environment"] == services["web"]["environment"]
    [probe] = re.findall(r"'GET', '(/\w+)'", services["web"]["healthcheck"]["test"][-1])
    assert probe in health.PROBES


def test_compose_can_wait_for_every_service() -> None:
    """A health check that is switched off makes `docker compose up --wait` fail (docker/compose#13522)."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert [name for name, service in services.items() if "healthcheck" in service] == ["database", "broker", "web"]
    assert not any("disable" in service.get("healthcheck", {}) for service in services.values())
    # By the network: the first start of PostgreSQL's image runs a server on a socket that makes the database, and ends it.
    assert "--host" in services["database"]["healthcheck"]["test"]


def test_compose_replaces_web_alone() -> None:
    """A proxy that depends on web would be replaced with it, and no request could wait for the new one."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert "depends_on" not in services["proxy"]


def test_no_log_of_compose_grows_without_a_limit() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert all({"max-size", "max-file"} <= service["logging"]["options"].keys() for service in services.values())


def test_compose_gives_what_production_asks_for() -> None:
    variables = dict(line.split("=", 1) for line in new_secrets()) | {"SLUICE_HOST": "panel.example.com"}
    given = dict(variables)
    for name, text in composed()["web"]["environment"].items():
        given[name] = re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda found: variables.get(found[1]) or found[2], text)
    assert list(production.refusals(given)) == []
    assert given["DATABASE_URL"] == f"postgres://sluice:{variables['POSTGRES_PASSWORD']}@database/sluice"
    assert given["SLUICE_TRUSTED_PROXIES"] == "172.31.250.0/24"


def test_make_compose_types_what_the_documents_say() -> None:
    assert [line.split()[:2] for line in check_compose.commands("README.md", check_compose.INSTALL)] == [
        ["docker", "build"],
        ["(umask", "077;"],
        ["docker", "compose"],
        ["docker", "compose"],
    ]
    for words, last in ((check_compose.UPGRADE, 3), (check_compose.RESTORE, 6)):
        typed = check_compose.commands("docs/operations.md", words)
        assert len(typed) == last
        assert typed[-1].startswith("docker compose up --detach --wait")


def test_make_cluster_types_what_the_documents_say() -> None:
    typed = check_compose.commands("README.md", check_cluster.INSTALL)
    assert [line.split()[0] for line in typed] == ["docker", "kubectl", "(umask", *["kubectl"] * 5]
    # The new image migrates before anything of it runs; a Job that is done may be gone already.
    build, tag, delete, job, wait, rest, status = check_compose.commands("docs/operations.md", check_cluster.UPGRADE)
    assert (build.split()[0], tag.split()[0]) == ("docker", "sed")
    assert delete.endswith("--ignore-not-found")
    assert job == f"{rest} --selector app.kubernetes.io/component=migrate"
    assert wait.split()[1] == "wait"
    assert status.split()[1:3] == ["rollout", "status"]
    [job_labels] = [pod["metadata"]["labels"] for pod in pods() if pod["spec"].get("restartPolicy") == "OnFailure"]
    assert job_labels["app.kubernetes.io/component"] == "migrate"
    for words in (check_cluster.RESTART, check_cluster.DRAIN):
        assert {line.split()[0] for line in check_compose.commands("docs/operations.md", words)} == {"kubectl"}


# --- systemd


@pytest.mark.parametrize("unit", UNITS, ids=[path.stem for path in UNITS])
def test_a_unit_starts_what_there_is(unit: Path) -> None:
    text = unit.read_text()
    [start] = re.findall(r"^ExecStart=/opt/sluice/bin/sluice (.+)$", text, re.MULTILINE)
    assert unit.stem.removesuffix("@") == f"sluice-{start}"
    assert start in PROCESSES
    [variables] = re.findall(r"^Environment=(.+)$", text, re.MULTILINE)
    assert {each.partition("=")[0] for each in variables.split()} <= known() | PYTHONS
    [stop] = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert int(stop) > GRACE


def test_there_is_a_unit_of_each_process() -> None:
    assert {unit.stem.removesuffix("@") for unit in UNITS} == {f"sluice-{name}" for name in PROCESSES}


def test_web_is_restarted_behind_a_socket() -> None:
    [web] = [unit.read_text() for unit in UNITS if "web" in unit.stem]
    assert "Sockets=sluice-web.socket" in web
    # A reload would keep what gunicorn's first process has imported, beside new code.
    assert "ExecReload" not in web
    socket = (ROOT / "deploy" / "systemd" / "sluice-web.socket").read_text()
    [address] = re.findall(r"^ListenStream=(.+)$", socket, re.MULTILINE)
    for proxy in ("nginx.conf", "Caddyfile"):
        assert address in (ROOT / "deploy" / proxy).read_text()


# --- Proxies


def test_the_proxies_let_through_what_the_product_takes() -> None:
    nginx, caddy = (ROOT / "deploy" / "nginx.conf").read_text(), (ROOT / "deploy" / "Caddyfile").read_text()
    [of_nginx] = re.findall(r"client_max_body_size (\d+)m;", nginx)
    [of_caddy] = re.findall(r"max_size (\d+)MiB", caddy)
    assert int(of_nginx) * 1024**2 == int(of_caddy) * 1024**2 == web_arriving.LONGEST_BODY
    [(number, size)] = re.findall(r"large_client_header_buffers (\d+) (\d+)k;", nginx)
    assert (int(number), int(size) * 1024) == (4, web_arriving.LONGEST_HEAD)
    for timeout in ("client_header_timeout", "client_body_timeout"):
        assert re.findall(rf"{timeout} (\d+)s;", nginx) == [str(web_worker.ARRIVAL_TIMEOUT)]
    assert "proxy_request_buffering on;" in nginx
    # A connection that is kept is given up by the proxy first: a request on one that Sluice closes just then would fail.
    kept = int(re.findall(r'"SLUICE_KEEPALIVE", (\d+)', (ROOT / "config" / "gunicorn.py").read_text())[0])
    for written in (r"keepalive_timeout (\d+)s;", r"\tkeepalive (\d+)s"):
        assert int(re.findall(written, nginx + caddy)[0]) < kept


# --- Kubernetes


def test_kustomization_has_every_manifest() -> None:
    resources = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "kustomization.yaml").read_text())["resources"]
    assert sorted(resources) == [path.name for path in MANIFESTS if path.stem != "kustomization"]


def test_there_is_all_that_a_platform_needs() -> None:
    found = sorted((each["kind"], each["metadata"]["name"]) for each in objects())
    assert found == [
        ("ConfigMap", "sluice"),
        ("Deployment", "beat"),
        ("Deployment", "web"),
        ("Deployment", "worker"),
        ("HorizontalPodAutoscaler", "web"),
        ("Ingress", "web"),
        ("Job", "migrate"),
        ("Namespace", "sluice"),
        ("NetworkPolicy", "everything-else"),
        ("NetworkPolicy", "out"),
        ("NetworkPolicy", "web"),
        ("PodDisruptionBudget", "beat"),
        ("PodDisruptionBudget", "web"),
        ("PodDisruptionBudget", "worker"),
        ("Service", "web"),
    ]
    assert {each["metadata"].get("namespace", "sluice") for each in objects()} == {"sluice"}


def test_a_pod_may_do_little() -> None:
    user = int(re.findall(r"^USER (\d+):", DOCKERFILE, re.MULTILINE)[0])
    for pod in pods():
        assert pod["spec"]["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        [container] = pod["spec"]["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp", "/data"}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert container["resources"]["limits"].keys() == {"memory"}


def test_a_pod_starts_what_there_is_with_all_variables() -> None:
    [config] = of_kind("ConfigMap")
    assert set(config["data"]) <= known()
    secret = {
        "DATABASE_URL": "postgres://sluice:x@db/sluice",
        "REDIS_URL": "redis://:x@broker:6379/0",
        "SECRET_KEY": base64.b64encode(bytes(range(60))).decode(),
        "SLUICE_ENCRYPTION_KEYS": base64.urlsafe_b64encode(bytes(32)).decode(),
    }
    assert list(production.refusals({**config["data"], **secret})) == []
    # ingress-nginx keeps a connection for this long (upstream-keepalive-timeout), which no annotation changes.
    assert int(config["data"]["SLUICE_KEEPALIVE"]) > 60
    for pod in pods():
        [container] = pod["spec"]["containers"]
        assert is_a_command(container["args"])
        assert container["image"] == "sluice"
        assert container["envFrom"] == [{"configMapRef": {"name": "sluice"}}, {"secretRef": {"name": "sluice"}}]


def test_selectors_find_their_pods() -> None:
    labels = [pod["metadata"]["labels"] for pod in pods()]
    for each in of_kind("Deployment", "Service", "PodDisruptionBudget"):
        selector = each["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        found = [label for label in labels if wanted.items() <= label.items()]
        assert [label["app.kubernetes.io/component"] for label in found] == [each["metadata"]["name"]]
    [autoscaler], [web] = (
        of_kind("HorizontalPodAutoscaler"),
        [d for d in of_kind("Deployment") if "web" in d["metadata"]["name"]],
    )
    assert autoscaler["spec"]["scaleTargetRef"]["name"] == web["metadata"]["name"]
    assert "replicas" not in web["spec"]


def test_pods_are_spread_within_a_release() -> None:
    """Counted with those that an upgrade ends, all new ones may come to one machine."""
    spread = [pod["spec"]["topologySpreadConstraints"] for pod in pods() if "restartPolicy" not in pod["spec"]]
    assert len(spread) == 3
    assert all(each["matchLabelKeys"] == ["pod-template-hash"] for [each] in spread)


def test_probes_ask_what_answers() -> None:
    [web] = [pod for pod in pods() if pod["metadata"]["labels"]["app.kubernetes.io/component"] == "web"]
    [container] = web["spec"]["containers"]
    asked = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {each["path"].partition("?")[0] for each in asked.values()} <= set(health.PROBES)
    # What is away for all pods alike takes none out of service that can still answer.
    readiness, left_out = asked["readinessProbe"]["path"].split("?")
    assert (readiness, asked["livenessProbe"]["path"]) == ("/readyz", "/healthz")
    assert parse_qs(left_out) == {"exclude": ["broker", "counting"]}
    assert set(parse_qs(left_out)["exclude"]) < set(health.CHECKS)
    assert {each["port"] for each in asked.values()} == {container["ports"][0]["name"]}
    assert re.findall(r"^EXPOSE (\d+)", DOCKERFILE, re.MULTILINE) == [str(container["ports"][0]["containerPort"])]
    # First the service sends no more, then gunicorn lets requests finish.
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert web["spec"]["terminationGracePeriodSeconds"] > wait + GRACE


def test_every_pod_has_a_policy_of_the_network() -> None:
    [web, rest, out] = sorted(
        of_kind("NetworkPolicy"), key=lambda each: "web everything-else out".index(each["metadata"]["name"])
    )
    assert web["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "web"
    assert rest["spec"] == {
        "podSelector": {
            "matchExpressions": [{"key": "app.kubernetes.io/component", "operator": "NotIn", "values": ["web"]}]
        },
        "policyTypes": ["Ingress"],
    }
    assert out["spec"]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "sluice"}}
