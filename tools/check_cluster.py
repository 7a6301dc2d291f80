"""Follow the README's third way word for word in a cluster of its own: `python -m tools.check_cluster [FOLDER]` (root).

Two machines of Debian with Kubernetes run in namespaces and reach nobody (tools/cluster.py). FOLDER has Kubernetes' programs,
which tools/build_kubernetes makes. What is typed is what README.md and docs/operations.md say, with `localhost` for the name of
the panel. docs/operations.md says what stands in for what.
"""

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tools import cluster, engine, images, newcomer
from tools.check_compose import (
    URL,
    Newcomer,
    commands,
    follow,
    lay_checkout,
    new_key,
    packages_served,
    provide,
    under_load,
)
from tools.cluster import REGISTRY

PROGRAMS = images.CACHE.parent / "kubernetes"
NAMES = {
    "postgres": "postgres:18",
    "valkey": "valkey/valkey:9",
    "ingress": f"{REGISTRY}/ingress:1",
    "pause": cluster.PAUSE,
}
COMPONENTS = ("web", "worker", "beat")
# Before the commands of the documents.
INSTALL = "### A cluster: Kubernetes"
UPGRADE = "To upgrade, build and push"
RESTART = "To change a variable or a secret"
DRAIN = "Before a machine is taken away"
CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost "
    "-keyout key.pem -out fullchain.pem"
)
# Seconds until something is so.
WITHIN = 300
INGRESS = """
apiVersion: v1
kind: Pod
metadata: {name: ingress, namespace: ingress-nginx}
spec:
  nodeName: one
  containers:
    - name: nginx
      image: registry.example.com/ingress:1
      ports: [{containerPort: 443, hostPort: 443, hostIP: 127.0.0.1}]
      volumeMounts: [{name: settings, mountPath: /etc/ingress}]
  volumes: [{name: settings, hostPath: {path: /etc/ingress}}]
"""
# As ingress-nginx has it by default, besides what the annotations say.
NGINX = """
events {}
http {
  access_log off;
  include /etc/ingress/endpoints;
  server { listen 127.0.0.1:8503; return 503; }
  server {
    listen 443 ssl;
    server_name %(host)s;
    ssl_certificate /etc/ingress/tls.crt;
    ssl_certificate_key /etc/ingress/tls.key;
    client_max_body_size %(proxy-body-size)s;
    proxy_read_timeout %(proxy-read-timeout)ss;
    proxy_connect_timeout 5s;
    location / {
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Proto $scheme;
    }
  }
}
"""
# The pods that are ready, as the cluster tells them; $1 is their port.
FOLLOW = """
addresses='jsonpath={.subsets[*].addresses[*].ip}{"\\n"}'
kubectl get endpoints web --namespace sluice --watch --output "$addresses" | while read -r ready; do
    {
        echo 'upstream web { keepalive 320; keepalive_requests 10000; keepalive_timeout 60s;'
        [ -n "$ready" ] || echo 'server 127.0.0.1:8503;'
        for address in $ready; do echo "server $address:$1;"; done
        echo '}'
    } >/etc/ingress/endpoints
    docker ps --quiet --filter label=io.kubernetes.container.name=nginx | xargs --no-run-if-empty docker kill --signal HUP
done
"""


def main(arguments: list[str]) -> int:
    """Do it; the status is 1 where something is not as promised."""
    programs = Path(arguments[0] if arguments else PROGRAMS)
    return follow(
        "cluster",
        images.missing() + [name for name in cluster.PROGRAMS if not (programs / name).is_file()],
        "root, Debian's buildah, debootstrap and util-linux, and Kubernetes' programs, which tools/build_kubernetes makes",
        lambda folder: running(folder, programs),
        lambda nodes, folder: walk(Operator(nodes, folder)),
    )


@contextlib.contextmanager
def running(folder: Path, programs: Path) -> Iterator[dict[str, engine.Engine]]:
    """Boot the cluster, with this checkout in FOLDER on its first machine."""
    base, packages, loaded = provide(NAMES)
    node = images.stand_in("node", base)
    with contextlib.ExitStack() as stack:
        nodes = {}
        for name in cluster.NODES:
            root, _ = stack.enter_context(images.unpacked(node))
            cluster.furnish(root, programs)
            nodes[name] = stack.enter_context(cluster.machine(root, folder / name, packages, name))
        one, two = nodes.values()
        cluster.connect(one, two)
        for name, image in loaded.items():
            one.load(image, name)
        cluster.start_control_plane(one)
        for name in (NAMES["ingress"], NAMES["pause"]):
            cluster.ran(one, f"docker push --quiet {name}")
        for each in nodes.values():
            cluster.start(each, cluster.NODE)
        cluster.wait(one, "kubectl wait --for condition=Ready node/one node/two --timeout 1s")
        print(cluster.ran(one, "kubectl get nodes --output wide"))
        lay_checkout(one)
        stack.enter_context(packages_served(one))
        yield nodes


class Operator(Newcomer):
    """Somebody who types commands in the checkout on the cluster's first machine."""

    def __init__(self, nodes: dict[str, engine.Engine], folder: Path) -> None:
        super().__init__(nodes["one"], folder)
        self.nodes = nodes

    def sluice(self, *words: str) -> str:
        """Run a command of Sluice in a pod."""
        quoted = " ".join(f"'{word}'" for word in words)
        return self.type(f"kubectl exec --namespace sluice deploy/web -- sluice {quoted}")

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Return a component's pods that are not ending: name, node, image, whether it is ready, restarts of its container."""
        listed = f"kubectl get pods --namespace sluice --selector app.kubernetes.io/component={component} --output json"
        return [
            {
                "name": pod["metadata"]["name"],
                "node": pod["spec"].get("nodeName", ""),
                "image": pod["spec"]["containers"][0]["image"],
                "ready": pod["status"].get("containerStatuses", [{}])[0].get("ready", False),
                "restarts": pod["status"].get("containerStatuses", [{}])[0].get("restartCount", 0),
            }
            for pod in json.loads(cluster.ran(self.machine, listed))["items"]
            if "deletionTimestamp" not in pod["metadata"]
        ]

    def until(self, what: str, is_so: Callable[[], bool]) -> None:
        """Wait until it is so."""
        started = time.monotonic()
        while not is_so():
            if time.monotonic() - started > WITHIN:
                raise newcomer.NotAsPromised(f"{what}: not within {WITHIN} s")
            time.sleep(0.5)
        print(f"{time.monotonic() - started:5.0f} s  {what}", flush=True)

    def follow(self, after: str) -> None:
        """Type what docs/operations.md says after these words."""
        for command in commands("docs/operations.md", after):
            self.type(command)

    def open_ingress(self) -> None:
        """Do what an ingress controller does with the Ingress of the manifests."""
        ingress = json.loads(self.type("kubectl get ingress web --namespace sluice --output json"))
        [rule], [tls] = ingress["spec"]["rules"], ingress["spec"]["tls"]
        prefix = "nginx.ingress.kubernetes.io/"
        settings = {
            name.removeprefix(prefix): value
            for name, value in ingress["metadata"]["annotations"].items()
            if name.startswith(prefix)
        }
        folder = self.machine.root / "etc/ingress"
        folder.mkdir()
        (folder / "nginx.conf").write_text(NGINX % {"host": rule["host"], **settings})
        for file in ("tls.crt", "tls.key"):
            name = file.replace(".", r"\.")
            self.type(
                f"kubectl get secret {tls['secretName']} --namespace {ingress['metadata']['namespace']} "
                f"--output 'jsonpath={{.data.{name}}}' | base64 --decode >/etc/ingress/{file}"
            )
        self.machine.started(f"set -- 8000; {FOLLOW}")
        cluster.wait(self.machine, "test -s /etc/ingress/endpoints")
        self.type(f"kubectl create namespace ingress-nginx && kubectl apply --filename - <<'END'{INGRESS}END")
        os.environ["SSL_CERT_FILE"] = str(folder / "tls.crt")
        self.wait("the ingress is there")


def walk(person: Operator) -> None:
    """Install, use, upgrade, break and mend."""
    install(person)
    look_inside(person)
    key, sent = new_key(person), 0
    person.type("echo '# Another version' >> sluice/__init__.py")
    person.type(commands("docs/operations.md", UPGRADE)[0])
    for happening in (upgrade, change_secret, drain, lose_pod, lose_leader, lose_broker):
        print(f"--- {happening.__name__}", flush=True)
        with under_load(person.machine, key) as outcomes:
            happening(person)
        sent += outcomes["answered"] // 2
        assert person.events() == 1 + sent
    lose_database(person)
    assert person.events() == 1 + sent
    tell_memory(person)


def install(person: Operator) -> None:
    """Do what the README says, sign in, and see an event counted."""
    person.type(CERTIFICATE)
    person.type(
        "sed --in-place s/panel.example.com/localhost/ deploy/kubernetes/config.yaml deploy/kubernetes/web.yaml"
    )
    *_, greeting = [person.type(each) for each in commands("README.md", INSTALL)]
    person.open_ingress()
    person.machine.inside(lambda: newcomer.sign_in(URL, *newcomer.credentials(greeting)))
    counted = person.machine.inside(lambda: newcomer.count_an_event(URL, person.sluice))
    print(f"signed in at {URL}, {counted} event counted")


def look_inside(person: Operator) -> None:
    """See that a pod may do little, and that they are spread."""
    for component in COMPONENTS:
        pods = person.pods(component)
        assert {pod["node"] for pod in pods} == {"one", "two"}, pods
        said = person.type(
            f"kubectl exec --namespace sluice {pods[0]['name']} -- sh -c "
            "'touch /x /opt/sluice/x 2>&1; id -u; grep -E \"CapEff|NoNewPrivs|Seccomp:\" /proc/self/status'"
        )
        lines = said.splitlines()
        assert [line.endswith("Read-only file system") for line in lines[:2]] == [True, True], said
        assert lines[2:] == ["10001", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"], said


def upgrade(person: Operator) -> None:
    """Upgrade as docs/operations.md says to the image that was pushed, go back, and upgrade again."""
    for command in commands("docs/operations.md", UPGRADE)[1:]:
        person.type(command)
    assert {pod["image"] for pod in person.pods("web")} == {f"{REGISTRY}/sluice:0.1.1"}
    person.type("kubectl rollout undo deployment/web --namespace sluice")
    person.type("kubectl rollout status deployment/web --namespace sluice --timeout 5m")
    assert {pod["image"] for pod in person.pods("web")} == {f"{REGISTRY}/sluice:0.1.0"}
    person.type("kubectl apply --kustomize deploy/kubernetes")
    person.type("kubectl rollout status deployment/web --namespace sluice --timeout 5m")


def change_secret(person: Operator) -> None:
    """Give the pods another secret as docs/operations.md says."""
    person.type("echo SLUICE_METRICS_TOKEN=another >>sluice.env")
    person.follow(RESTART)
    assert person.type("kubectl exec --namespace sluice deploy/web -- printenv SLUICE_METRICS_TOKEN") == "another\n"


def drain(person: Operator) -> None:
    """Empty a machine as docs/operations.md says, and take it back."""
    person.follow(DRAIN)
    assert "two" not in {pod["node"] for component in COMPONENTS for pod in person.pods(component)}
    person.type("kubectl uncordon two")
    person.type("kubectl rollout status deployment --namespace sluice --timeout 5m")


def lose_pod(person: Operator) -> None:
    """Delete a pod of web, and wait for the next one."""
    person.type(f"kubectl delete pod --namespace sluice {person.pods('web')[0]['name']}")
    person.type("kubectl rollout status deployment/web --namespace sluice --timeout 5m")


def lose_leader(person: Operator) -> None:
    """Kill the beat that leads; the other one goes on."""

    def leads(pod: dict[str, Any]) -> bool:
        return "beat_leads" in cluster.ran(person.machine, f"kubectl logs --namespace sluice {pod['name']}")

    [leader] = [pod for pod in person.pods("beat") if leads(pod)]
    [other] = [pod for pod in person.pods("beat") if pod["name"] != leader["name"]]
    labels = f"--filter label=io.kubernetes.pod.name={leader['name']} --filter label=io.kubernetes.container.name=beat"
    cluster.ran(person.nodes[leader["node"]], f"docker kill $(docker ps --quiet {labels})")
    person.until("the beat that leads was killed: the other one leads", lambda: leads(other))


def lose_broker(person: Operator) -> None:
    """Take the broker away for longer than any probe waits."""
    person.type("docker stop broker")
    time.sleep(60)
    person.type("docker start broker")


def lose_database(person: Operator) -> None:
    """Take the database away until no pod of web is ready, and bring it back; no container may be restarted for it."""

    def is_ready() -> list[bool]:
        return [pod["ready"] for pod in person.pods("web")]

    person.type("docker stop database")
    person.until("the database is away: no pod of web is ready", lambda: not any(is_ready()))
    person.type("docker start database")
    person.until("the database is back: every pod of web is ready", lambda: all(is_ready()))
    assert [pod["restarts"] for pod in person.pods("web")] == [0, 0]


def tell_memory(person: Operator) -> None:
    """Print what the containers take of the memory that they may."""
    for node in person.nodes.values():
        for line in sorted(
            cluster.ran(node, "docker stats --no-stream --format '{{.Name}} {{.MemUsage}}'").splitlines()
        ):
            if found := re.match(r"k8s_(web|worker|beat)_(\S+?)_sluice_\S+ (.+)", line):
                print(f"memory of {found[2]}: {found[3]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
