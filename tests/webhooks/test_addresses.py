"""Which addresses a webhook may be called at."""

import pytest

from webhooks.addresses import NotAllowed, check

PUBLIC = ["203.0.112.1", "8.8.8.8", "2606:4700:4700::1111", "1.1.1.1"]
INSIDE = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    # Link-local: the metadata services of most clouds; those of Alibaba, Oracle and Azure are elsewhere.
    "169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16",
    # Carrier-grade NAT, documentation, benchmarks, multicast, reserved, broadcast, 6to4 relays.
    "100.64.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.9", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "192.88.99.1", "3fff::1",
    "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "fec0::1", "100::1",
    # What means an IPv4 address: mapped, compatible, NAT64 (well-known and local), 6to4, Teredo; of public ones too.
    "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::7f00:1", "::ffff:0:127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808",
    "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:808:808::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_it_allows_public_addresses(address: str) -> None:
    assert [str(each) for each in check([address])] == [address]


@pytest.mark.parametrize("address", INSIDE)
def test_it_refuses_all_others(address: str) -> None:
    with pytest.raises(NotAllowed):
        check([address])


def test_one_that_is_refused_refuses_the_name() -> None:
    with pytest.raises(NotAllowed, match=r"^10\.0\.0\.1 is not a public address$"):
        check(["8.8.8.8", "10.0.0.1"])


def test_the_platform_allows_networks(settings) -> None:
    settings.SLUICE_WEBHOOK_NETWORKS = ["10.1.0.0/16", "64:ff9b::/96", "fd00::/8"]
    check(["10.1.2.3", "fd00::1", "64:ff9b::808:808"])
    # The prefix is allowed, and what it means is not.
    for address in ("10.2.0.1", "64:ff9b::a00:1", "::ffff:10.1.2.3", "2002:a01:203::"):
        with pytest.raises(NotAllowed):
            check([address])
