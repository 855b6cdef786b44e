"""Where things lie: material beside the project, work files under .cache, results in models/."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("UNDERSTUDY_SHARED", ROOT.parent / "shared"))
STILLS = SHARED / "data" / "stills"
VIDEO = SHARED / "data" / "video"
MODELS = SHARED / "models"
CACHE = ROOT / ".cache" / "doubles"
MESH = ROOT / "models" / "mesh" / "mesh.json"
DOUBLES = ROOT / "models" / "doubles"
CACHE.mkdir(parents=True, exist_ok=True)
