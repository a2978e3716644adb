"""Take the firewall rules of bridges away that Docker made, and no other rule.

Docker writes into chains of its own (DOCKER…), and a few rules of known forms into the
kernel's chains. Which rules go is decided on the text of ``iptables-save``. They are then
deleted one by one, so that whatever else changes a rule at the same time is not undone.
"""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise

from ..errors import WorkshopError
from . import root

# Docker's own chains, from Engine 20 to 29. DOCKER-USER is the one that people write into.
_OWN_CHAIN = re.compile(
    r"DOCKER(-USER|-FORWARD|-BRIDGE|-CT|-INTERNAL|-INGRESS|-ISOLATION-STAGE-[12])?"
)

# The rules that Docker puts into the kernel's chains for a bridge B with a network N.
_OF_A_BRIDGE = {
    ("filter", "FORWARD"): (
        "-o B -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-o B -j DOCKER",
        "-i B ! -o B -j ACCEPT",
        "-i B -o B -j ACCEPT",
        "-i B -o B -j DROP",
    ),
    ("nat", "POSTROUTING"): (
        "-s N ! -o B -j MASQUERADE",
        "-o B -m addrtype --src-type LOCAL -j MASQUERADE",
    ),
    ("raw", "PREROUTING"): ("-d N ! -i B -j DROP",),
}

# The rules that lead from the kernel's chains to Docker's.
_JUMPS = {
    ("filter", "FORWARD"): (
        "-j DOCKER-USER",
        "-j DOCKER-FORWARD",
        "-j DOCKER-INGRESS",
        "-j DOCKER-ISOLATION-STAGE-1",
    ),
    ("nat", "PREROUTING"): ("-m addrtype --dst-type LOCAL -j DOCKER",),
    ("nat", "OUTPUT"): (
        "-m addrtype --dst-type LOCAL -j DOCKER",
        "! -d N -m addrtype --dst-type LOCAL -j DOCKER",
    ),
}


@dataclass(frozen=True)
class _Rule:
    table: str
    chain: str
    words: tuple[str, ...]

    def after(self, *options: str) -> list[str]:
        """The words that follow these options."""
        return [word for option, word in pairwise(self.words) if option in options]

    def form(self, bridges: Collection[str]) -> str:
        """The rule's text with B for any of these bridges and N for a network."""
        words = list(self.words)
        for i, option in enumerate(words[:-1]):
            if option in ("-i", "-o") and words[i + 1] in bridges:
                words[i + 1] = "B"
            elif option in ("-s", "-d"):
                words[i + 1] = "N"
        return " ".join(words)

    def goes_with(self, bridges: Collection[str]) -> bool:
        """True when Docker made this rule for one of these bridges."""
        if "--comment" in self.words or self.chain == "DOCKER-USER":
            return False
        if _OWN_CHAIN.fullmatch(self.chain):
            return any(name in bridges for name in self.after("-i", "-o"))
        return self.form(bridges) in _OF_A_BRIDGE.get((self.table, self.chain), ())

    def is_a_jump(self) -> bool:
        """True when Docker made this rule as the way from a kernel's chain to one of its own."""
        return self.form(()) in _JUMPS.get((self.table, self.chain), ())

    def holds_for_no_bridge(self) -> bool:
        """True for what Docker writes into its own chains whatever its bridges are."""
        if self.words == ("-j", "RETURN"):
            return True
        if self.chain == "DOCKER-USER":
            return False
        if self.after("--match-set") in (["docker-ext-bridges-v4"], ["docker-ext-bridges-v6"]):
            return True
        return self.words[:-1] == ("-j",) and bool(_OWN_CHAIN.fullmatch(self.words[-1]))


def remove(bridges: Collection[str], *, keep_chains: bool) -> None:
    """Delete the rules of ``bridges``, and with ``keep_chains`` false Docker's chains, too.

    A chain stays where a rule of somebody else's is in it, or leads to it. Addresses of
    both families are dealt with. A rule that is gone by then is no error.
    """
    for tool in ("iptables", "ip6tables"):
        saved = ""
        with contextlib.suppress(WorkshopError):  # a kernel without IPv6
            saved = root.run(f"{tool}-save")
        for arguments in deletions(saved, bridges, keep_chains=keep_chains):
            with contextlib.suppress(WorkshopError):
                root.run(tool, "--wait", *arguments)


def deletions(saved: str, bridges: Collection[str], *, keep_chains: bool) -> list[list[str]]:
    """The arguments of each call of iptables to make, in this order.

    ``saved`` is the text of ``iptables-save``. Chains are deleted with -X, which refuses
    a chain with a rule in it.
    """
    rules = list(_rules(saved))
    going = [rule for rule in rules if rule.goes_with(bridges)]
    chains: set[tuple[str, str]] = set()
    if not keep_chains:
        chains = _chains(saved)
        while True:
            staying = [r for r in rules if r not in going and not _goes_with(r, chains)]
            needed = {(r.table, r.chain) for r in staying}
            needed |= {(r.table, target) for r in staying for target in r.after("-j", "-g")}
            if not needed & chains:
                break
            chains -= needed
        going = [rule for rule in rules if rule in going or _goes_with(rule, chains)]
    return [
        *(["-t", rule.table, "-D", rule.chain, *rule.words] for rule in going),
        *(["-t", table, "-X", chain] for table, chain in sorted(chains)),
    ]


def _goes_with(rule: _Rule, chains: Collection[tuple[str, str]]) -> bool:
    """True when Docker made this rule, and it is of no use without these chains."""
    if (rule.table, rule.chain) in chains:
        return rule.holds_for_no_bridge()
    return rule.is_a_jump() and (rule.table, rule.words[-1]) in chains


def _lines(saved: str) -> Iterator[tuple[str, str]]:
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        else:
            yield table, line


def _chains(saved: str) -> set[tuple[str, str]]:
    """Docker's own chains, as (table, chain)."""
    declared = ((table, line[1:].split()[0]) for table, line in _lines(saved) if line[:1] == ":")
    return {(table, chain) for table, chain in declared if _OWN_CHAIN.fullmatch(chain)}


def _rules(saved: str) -> Iterator[_Rule]:
    for table, line in _lines(saved):
        if line.startswith("-A "):
            _, chain, *words = shlex.split(line)
            yield _Rule(table, chain, tuple(words))
