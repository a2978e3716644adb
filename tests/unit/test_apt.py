"""What is installed is named before it is; Debian 13's packages come with its security archive."""

import pytest

from workshop.engine import apt
from workshop.errors import WorkshopError
from workshop.show import console

SIMULATED = """\
NOTE: This is only a simulation!
Reading package lists...
The following NEW packages will be installed:
  iptables libip6tc2 runc
Inst runc (1.1.5+ds1-1+deb12u1 Debian:12.11/oldstable [amd64])
Inst iptables [1.8.8] (1.8.9-2 Debian:12.11/oldstable [amd64])
Conf runc (1.1.5+ds1-1+deb12u1 Debian:12.11/oldstable [amd64])
"""


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a reader sees, in its order; apt-get itself is only recorded."""
    lines: list[str] = []
    monkeypatch.setattr(console, "say", lines.append)
    monkeypatch.setattr(apt, "_apt_get", lambda what, *arguments: lines.append(what))
    monkeypatch.setattr(apt, "_simulate", lambda *arguments: SIMULATED)
    return lines


def a_person(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    def asked(question: str) -> str:
        assert answer is not None, "nobody is there to answer"
        return answer

    monkeypatch.setattr(console, "a_person_is_there", lambda: answer is not None)
    monkeypatch.setattr("builtins.input", asked)


@pytest.mark.parametrize("answer", [None, "", "y", "Yes"])
def test_packages_are_named_before_they_are_installed(
    said: list[str], monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    a_person(monkeypatch, answer)
    apt.install("an engine", ["docker.io"])
    assert said == [
        "Fetching the package lists",
        "For an engine, apt-get installs: runc iptables",
        "Installing an engine",
    ]


def test_a_person_who_says_no_gets_nothing(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_person(monkeypatch, "n")
    with pytest.raises(WorkshopError, match="Nothing was installed"):
        apt.install("an engine", ["docker.io"])
    assert "Installing an engine" not in said


def test_nothing_is_asked_when_all_is_there(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_person(monkeypatch, "n")
    monkeypatch.setattr(apt, "_simulate", lambda *arguments: "Reading package lists...\n")
    apt.install("an engine", ["docker.io"])
    assert said == ["Fetching the package lists"]


MAIN, SECURITY = "http://mirror.example/debian", "http://mirror.example/debian-security"


def test_debian_13_comes_with_its_security_archive() -> None:
    known = {"bookworm": MAIN, "bookworm-updates": MAIN, "bookworm-security": SECURITY}
    lines = [line.split()[2:] for line in apt.debian_13_sources(known).splitlines()]
    assert lines == [
        [MAIN, "bookworm", "main"],
        [MAIN, "trixie", "main"],
        [SECURITY, "bookworm-security", "main"],
        [SECURITY, "trixie-security", "main"],
    ]


def test_a_machine_without_the_security_archive_gets_none() -> None:
    assert "security" not in apt.debian_13_sources({"bookworm": MAIN})


def test_of_debian_13_only_the_named_packages_are_taken() -> None:
    stanzas = apt.debian_13_preferences(["docker.io", "containerd"]).strip().split("\n\n")
    assert [stanza.splitlines() for stanza in stanzas] == [
        [f"Package: {names}", f"Pin: release n={suite}", f"Pin-Priority: {priority}"]
        for suite in ("trixie", "trixie-security")
        for names, priority in (("*", -1), ("docker.io containerd", 600))
    ]
