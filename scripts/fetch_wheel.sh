#!/usr/bin/env bash
# Fetches one wheel from PyPI into a folder, with pip where it is installed and by PyPI's package index otherwise.
# The caller checks the hash.
#
#   scripts/fetch_wheel.sh NAME VERSION PYTHON PLATFORM FOLDER       (PYTHON as 3.11)
set -euo pipefail
name=$1 version=$2 python=$3 platform=$4 folder=$5

if python3 -m pip --version >/dev/null 2>&1; then
    python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: \
        --python-version "$python" --platform "$platform" --dest "$folder" "$name==$version"
    exit 0
fi
python3 - "$name" "$version" "cp${python/./}" "$platform" "$folder" <<'PYTHON'
import json, os, sys, urllib.request

name, version, tag, platform, folder = sys.argv[1:]
index = urllib.request.Request(
    f"https://pypi.org/simple/{name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"})
with urllib.request.urlopen(index, timeout=60) as answer:
    files = json.load(answer)["files"]
fitting = [f for f in files if f["filename"] == f"{name}-{version}-{tag}-{tag}-{platform}.whl"]
if not fitting:
    sys.exit(f"PyPI lists no wheel of {name} {version} for {tag} {platform}")
with urllib.request.urlopen(fitting[0]["url"], timeout=60) as answer:
    with open(os.path.join(folder, fitting[0]["filename"]), "wb") as out:
        while block := answer.read(1 << 20):
            out.write(block)
PYTHON
