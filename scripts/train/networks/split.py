"""The sealed division into training and test."""

import json
import tomllib
import zlib
from functools import cache
from pathlib import PurePath

from . import settings


@cache
def _rules() -> dict:
    return tomllib.loads(settings.SPLIT.read_text())


@cache
def manifest() -> list[dict]:
    """Rows of the data's manifest."""
    return json.loads((settings.data("MANIFEST.json")).read_text())["items"]


def _percent(name: str) -> int:
    return zlib.crc32(name.encode()) % 100


def is_test(item: dict) -> bool:
    """Whether a row of the manifest belongs to the test split."""
    path, rules = PurePath(item["file"]), _rules()
    if path.parts[0] in ("video", "video_derived"):
        return path.name.startswith(tuple(rules["video"]["test"]))
    if path.parts[0] == "stills":
        subject = (item.get("subjects") or [item["file"]])[0]
        return subject in rules["portraits"]["test"] or _percent(subject) < rules["portraits"]["test_percent"]
    if path.parts[:2] == ("photos", "people"):
        return path.name.startswith(tuple(rules["photos"]["test_sources"]))
    return _percent(path.name) < rules["negatives"]["test_percent"]


def items(prefix: str) -> list[dict]:
    """Rows whose file begins with `prefix`, by name."""
    return sorted((i for i in manifest() if i["file"].startswith(prefix)), key=lambda i: i["file"])
