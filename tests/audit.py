#!/usr/bin/env python3
"""Every dependency's licence is one of those below, and no crate comes in more versions than is written down here."""

import collections
import json
import subprocess
import sys

ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0", "MPL-2.0", "Unicode-3.0", "Unlicense", "Zlib", "bzip2-1.0.6",
}
# Crates that come twice in the default build, because two of our dependencies have not agreed yet.
# (toml and what it brings: wasmtime's cache; syn and cpufeatures: half of the field has moved; embedded-io: postcard; getrandom: ring.)
TWICE = {"cpufeatures", "embedded-io", "getrandom", "hashbrown", "syn", "toml", "toml_datetime", "winnow"}


def allowed(expression: str) -> bool:
    """Whether an SPDX expression can be satisfied by what is allowed."""
    expression = expression.replace("/", " OR ").replace("(", " ( ").replace(")", " ) ")
    if " AND " in expression:
        return all(allowed(part.strip(" ()")) for part in expression.split(" AND "))
    return any(part.strip(" ()") in ALLOWED for part in expression.split(" OR "))


def metadata(*arguments: str) -> dict:
    command = ["cargo", "metadata", "--format-version", "1", "--locked", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def main() -> int:
    wrong = []
    for arguments in (["--all-features"], ["--manifest-path", "plugins/Cargo.toml"]):
        for package in metadata(*arguments)["packages"]:
            licence = package["license"]
            if package["source"] and not (licence and allowed(licence)):
                wrong.append(f"{package['name']} {package['version']}: licence {licence}")
    default = metadata("--filter-platform", "x86_64-unknown-linux-gnu")
    in_use = {node["id"] for node in default["resolve"]["nodes"]}
    versions = collections.defaultdict(set)
    for package in default["packages"]:
        if package["id"] in in_use:
            versions[package["name"]].add(package["version"])
    for name, found in sorted(versions.items()):
        if len(found) > 1 and name not in TWICE:
            wrong.append(f"{name} comes in versions {', '.join(sorted(found))}")
    print("\n".join(wrong) or f"{len(in_use)} crates in the default build, all licences allowed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
