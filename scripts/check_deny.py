#!/usr/bin/env python3
"""Checks the dependency tree against deny.toml without cargo-deny: licences, banned crates, sources.

Reads `cargo metadata` for the targets that deny.toml names, so crates for other systems are not judged. Exits 1 and
names every offender. Advisories need a database from the network and are left to cargo-deny.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def read_rules(text):
    """Licences, banned names and targets of deny.toml; a small reader, for Python before 3.11 has no tomllib."""
    text = re.sub(r"#.*", "", text)

    def strings(section, key):
        body = re.search(rf"^\[{section}\](.*?)(?=^\[|\Z)", text, re.M | re.S).group(1)
        body = re.search(rf"^{key} *= *\[(.*?)\]", body, re.M | re.S).group(1)
        return re.findall(r'"([^"]+)"', body)

    return set(strings("licenses", "allow")), set(strings("bans", "deny")), strings("graph", "targets")


def permitted(expression, allowed):
    """Whether an SPDX expression can be met from the allowed licences ('/' is the old spelling of OR)."""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))

    def alternatives():
        met = conjunction()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            other = conjunction()
            met = met or other
        return met

    def conjunction():
        met = term()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            other = term()
            met = met and other
        return met

    def term():
        token = tokens.pop(0)
        if token == "(":
            met = alternatives()
            tokens.pop(0)
            return met
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            token = f"{token} WITH {tokens.pop(0)}"
        return token in allowed

    return alternatives()


def self_check():
    """The expression reader on cases whose answers are known."""
    allowed = {"MIT", "Unicode-3.0", "A WITH x"}
    cases = [
        ("MIT", True), ("GPL-3.0", False), ("MIT OR GPL-3.0", True), ("GPL-3.0/MIT", True), ("GPL-3.0 AND MIT", False),
        ("(MIT OR GPL-3.0) AND Unicode-3.0", True), ("(MIT OR GPL-3.0) AND Zlib", False), ("A WITH x", True), ("A", False),
    ]
    for expression, expected in cases:
        assert permitted(expression, allowed) == expected, expression


def packages(targets):
    """Every package that `cargo metadata` resolves for the targets, by id."""
    found = {}
    for target in targets:
        command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
        for extra in (["--offline"], []):
            run = subprocess.run(command + extra, cwd=ROOT, capture_output=True, text=True)
            if run.returncode == 0:
                break
        else:
            sys.exit(f"check_deny: cargo metadata failed:\n{run.stderr}")
        tree = json.loads(run.stdout)
        resolved = {node["id"] for node in tree["resolve"]["nodes"]}
        found.update({p["id"]: p for p in tree["packages"] if p["id"] in resolved})
    return found


def main():
    self_check()
    allowed, banned, targets = read_rules((ROOT / "deny.toml").read_text())
    offences = []
    tree = packages(targets)
    for package in sorted(tree.values(), key=lambda p: (p["name"], p["version"])):
        label = f"{package['name']} {package['version']}"
        if not package["license"] or not permitted(package["license"], allowed):
            offences.append(f"{label}: licence {package['license']!r} is not on the list of deny.toml")
        if package["name"] in banned:
            offences.append(f"{label}: banned in deny.toml")
        source = package["source"]
        if source is not None and source != "registry+https://github.com/rust-lang/crates.io-index":
            offences.append(f"{label}: comes from {source}, not from crates.io")
    for offence in offences:
        print(f"check_deny: {offence}")
    print(f"check_deny: {len(tree)} packages, {len(offences)} offences")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
