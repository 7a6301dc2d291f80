"""A Kubernetes cluster of two machines, each with its own Docker (tools/engine.py), in namespaces that reach nobody.

Kubernetes' programs are those of Debian's source package (tools/build_kubernetes). The first machine has the control plane, a
registry, the cluster's names, and PostgreSQL and Valkey beside the cluster.
"""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tools import engine

PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
NODES = {"one": 1, "two": 2}
REGISTRY = "registry.example.com"
PAUSE = f"{REGISTRY}/pause:1"
WITHIN = 180
# Both machines see the numbers that Kubernetes wants in the kernel, and leave the kernel's own, which are everybody's, alone.
TUNABLES = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}
HOSTS = f"192.0.2.1 {REGISTRY} postgresql.example.com valkey.example.com"
# $1 is the number of the machine, $2 that of the other one.
CONNECT = """
set -eu
ip address add "192.0.2.$1/24" dev node
ip link set node up
ip route add "10.244.$2.0/24" via "192.0.2.$2"
# As packages are served where tools/stand_ins/pip.conf looks for them.
[ "$1" = 2 ] || ip address add 172.17.0.1/32 dev lo
iptables --policy FORWARD ACCEPT
"""
# Kubernetes 1.20 has two kinds in earlier versions only, and spreads pods of all releases together.
KUBECTL = """#!/bin/sh
if [ "$1 $2" = "apply --kustomize" ]; then
    kubectl.debian kustomize "$3" >/tmp/manifests
    sed --in-place 's|^apiVersion: autoscaling/v2$|&beta2|; s|^apiVersion: policy/v1$|&beta1|' /tmp/manifests
    sed --in-place '/matchLabelKeys:/,+1d' /tmp/manifests
    shift 3
    set -- apply --filename /tmp/manifests "$@"
fi
exec kubectl.debian "$@"
"""
# The kernel need not let a machine in namespaces spare a process when memory runs out, as kubelet wants for what holds a pod.
RUNC = """#!/bin/sh
for word; do
    [ "$before" != --bundle ] || sed --in-place 's|"oomScoreAdj":-[0-9]*|"oomScoreAdj":0|' "$word/config.json"
    before=$word
done
exec /usr/sbin/runc "$@"
"""
CONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: here, cluster: {server: "https://192.0.2.1:6443", insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: only-here}}]
contexts: [{name: here, context: {cluster: here, user: admin}}]
current-context: here
"""
CONTROL_PLANE = {
    "etcd": "etcd --data-dir /var/lib/etcd --unsafe-no-fsync",
    "kube-apiserver": "kube-apiserver --etcd-servers http://127.0.0.1:2379 --advertise-address 192.0.2.1 "
    "--bind-address 0.0.0.0 --kubelet-preferred-address-types InternalIP "
    "--cert-dir /etc/kubernetes --token-auth-file /etc/kubernetes/tokens --authorization-mode RBAC "
    "--service-cluster-ip-range 10.96.0.0/16 --service-account-issuer https://kubernetes.default.svc "
    "--service-account-key-file /etc/kubernetes/accounts --service-account-signing-key-file /etc/kubernetes/accounts",
    "kube-controller-manager": "kube-controller-manager --kubeconfig ~/.kube/config --leader-elect=false "
    "--service-account-private-key-file /etc/kubernetes/accounts --horizontal-pod-autoscaler-sync-period 5s",
    "kube-scheduler": "kube-scheduler --kubeconfig ~/.kube/config --leader-elect=false",
    # The names that the README takes for granted; pods ask here.
    "dnsmasq": "dnsmasq --keep-in-foreground --user=root --no-resolv '--local=/#/' "
    "--listen-address 192.0.2.1 --bind-interfaces",
    "registry": "docker-registry serve /etc/registry.yml",
}
REGISTRY_CONFIG = (
    "{version: 0.1, storage: {filesystem: {rootdirectory: /var/lib/registry}}, http: {addr: '192.0.2.1:80'}}\n"
)
NODE = {
    "kubelet": "kubelet --kubeconfig ~/.kube/config --hostname-override {name} --node-ip 192.0.2.{number} "
    f"--container-runtime docker --pod-infra-container-image {PAUSE} --image-gc-high-threshold 100 "
    "--cgroup-driver cgroupfs --cgroups-per-qos=false --enforce-node-allocatable= --eviction-hard 'memory.available<100Mi' "
    "--fail-swap-on=false --cluster-dns 192.0.2.1 --cluster-domain cluster.local",
    # What is counted in the whole kernel stays as it is.
    "kube-proxy": "kube-proxy --kubeconfig ~/.kube/config --hostname-override {name} --cluster-cidr 10.244.0.0/16 "
    "--conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0",
}
# Beside the cluster, as the README wants them.
DATABASE = (
    "docker run --detach --name database --publish 192.0.2.1:5432:5432 --env POSTGRES_USER=sluice --env POSTGRES_DB=sluice "
    "--env POSTGRES_PASSWORD=PASSWORD postgres:18 postgres -c max_connections=150"
)
BROKER = (
    "docker run --detach --name broker --publish 192.0.2.1:6379:6379 valkey/valkey:9 "
    "valkey-server --requirepass PASSWORD --maxmemory-policy noeviction"
)


def ran(machine: engine.Engine, command: str) -> str:
    """Run a command on a machine and return what it prints. Raises CannotRun where it fails."""
    done = machine.run(command)
    if done.returncode:
        raise engine.CannotRun(f"{command[:100]} ended with {done.returncode}: {(done.stderr or done.stdout)[-1000:]}")
    return done.stdout


def wait(machine: engine.Engine, command: str) -> None:
    """Wait until a command succeeds on a machine. Raises CannotRun."""
    deadline = time.monotonic() + WITHIN
    while (done := machine.run(command)).returncode:
        if time.monotonic() > deadline:
            raise engine.CannotRun(f"{command[:100]} does not succeed: {done.stderr[-1000:]}")
        time.sleep(0.5)


def furnish(root: Path, programs: Path) -> None:
    """Lay Kubernetes' programs and what they read into a machine's root."""
    for name in PROGRAMS:
        shutil.copy2(programs / name, root / "usr/local/bin" / name)
    for name, content in {
        "root/.kube/config": CONFIG,
        "etc/kubernetes/tokens": "only-here,admin,admin,system:masters\n",
        "etc/registry.yml": REGISTRY_CONFIG,
        **{f"etc/kernel/{name}": f"{value}\n" for name, value in TUNABLES.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    (root / "usr/bin/kubectl").rename(root / "usr/bin/kubectl.debian")
    for name, script in {"usr/bin/kubectl": KUBECTL, "usr/local/sbin/runc": RUNC}.items():
        (root / name).write_text(script)
        (root / name).chmod(0o755)


@contextlib.contextmanager
def machine(root: Path, folder: Path, packages: Path, name: str) -> Iterator[engine.Engine]:
    """Boot one machine of the cluster, whose containers have addresses that the other one can reach."""
    folder.mkdir(exist_ok=True)
    options = f"--bip 10.244.{NODES[name]}.1/24 --ip-masq=false --insecure-registry {REGISTRY}"
    with engine.running(root, folder, packages, name=name, options=options) as booted:
        ran(booted, f"echo {HOSTS} >>/etc/hosts")
        for tunable in TUNABLES:
            ran(booted, f"mount --bind /etc/kernel/{tunable} /proc/sys/{tunable}")
        yield booted


def connect(one: engine.Engine, two: engine.Engine) -> None:
    """Lay a cable between the two machines, and routes to each other's containers."""
    link = ["ip", "link", "add", "node", "netns", one.init, "type", "veth", "peer", "name", "node", "netns", two.init]
    subprocess.run(link, check=True)
    for here, there in ((one, two), (two, one)):
        ran(here, f"set -- {NODES[here.name]} {NODES[there.name]}; {CONNECT}")


def start(machine: engine.Engine, servers: dict[str, str]) -> None:
    """Start servers on a machine; they end with it."""
    for name, command in servers.items():
        words = command.format(name=machine.name, number=NODES[machine.name])
        machine.started(f"exec {words} >>/var/log/{name} 2>&1")


def start_control_plane(one: engine.Engine) -> None:
    """Start the control plane and what stands beside the cluster, on the first machine."""
    ran(one, "openssl genrsa -out /etc/kubernetes/accounts 2048")
    start(one, CONTROL_PLANE)
    for command in (DATABASE, BROKER):
        ran(one, command)
    wait(one, "curl --silent --fail http://registry.example.com/v2/")
    wait(one, "kubectl get --raw /readyz")
    wait(one, "kubectl get serviceaccount default")
