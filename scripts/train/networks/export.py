"""Writes the networks as ONNX with 16-bit weights, and their sizes and hashes into the manifest."""

import hashlib
import importlib
import re

import cv2
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from . import evaluate, loop, prepare, settings
from .teachers import YuNet, session

OPSET = 17
EXAMPLES = {"detector": (1, 3, 384, 640), "landmarks": (1, 192, 192, 3), "embedding": (1, 3, 112, 112), "verifier": (1, 3, 64, 64)}
INPUTS = {"detector": "input", "landmarks": "input_1", "embedding": "input0", "verifier": "input"}


def halve(model: onnx.ModelProto) -> None:
    """Stores large weights in 16 bits; a Cast, folded when the network is loaded, gives them back in 32."""
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < 64:
            continue
        name = weight.name
        half = numpy_helper.from_array(values.astype(np.float16), name + "_16")
        weight.CopyFrom(half)
        casts.append(helper.make_node("Cast", [name + "_16"], [name], to=TensorProto.FLOAT, name=name + "_cast"))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)


def calibration(path) -> tuple[float, float]:
    """Slope and shift of score logits, so that on training scenes one picture in ten has a false detection of 0.5 or
    more, and two in three have one of 0.3 or more."""
    scenes = [r for r in prepare.load("scenes") if not r["test"]][::6]
    cases = [(cv2.imdecode(r["jpg"], cv2.IMREAD_COLOR), *evaluate.truth(r)) for r in scenes]
    rows, _ = evaluate.match(cases, evaluate.union(YuNet(path), (640,)))
    false = np.sort(rows[rows[:, 1] == 0, 0])[::-1]
    logit = lambda p: float(np.log(p / (1 - p)))
    at = lambda rate: logit(min(max(false[min(int(rate * len(cases)), len(false) - 1)], 0.16), 0.95))
    sure, weak = at(0.1), at(0.67)
    steep = float(np.clip((logit(0.5) - logit(0.3)) / max(sure - weak, 1e-3), 1.0, 3.0))
    print(f"{len(cases)} training scenes: one false detection in ten pictures at {1 / (1 + np.exp(-sure)):.3f}, "
          f"two in three at {1 / (1 + np.exp(-weak)):.3f}; slope {steep:.2f}, shift {-steep * sure:.2f}")
    return steep, -steep * sure


def export(name: str, run: str, other: str | None, *calibrated: float) -> None:
    """Writes one network, or the mean of two runs of it, and checks that it says what the trained one says."""
    module = importlib.import_module(f"networks.{name}")
    task = module.Training.__new__(module.Training)
    net = {"detector": "Detector", "landmarks": "Landmarks", "embedding": "Embedding", "verifier": "Verifier"}[name]
    task.model = getattr(module, net)
    wrapped = module.Exported(loop.averaged(task, run, other), *calibrated).eval()
    example = torch.rand(EXAMPLES[name]) * (255 if name == "detector" else 1)
    axes = None
    if name == "detector":
        axes = {"input": {2: "h", 3: "w"}} | {n: {1: f"n_{n}"} for n in module.Exported.NAMES}
    path = settings.OWN / f"{name}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(wrapped, (example,), str(path), input_names=[INPUTS[name]], output_names=module.Exported.NAMES,
                      dynamic_axes=axes, opset_version=OPSET, dynamo=False)
    model = onnx.load(str(path))
    halve(model)
    model.producer_name, model.producer_version = "understudy", ""
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    if name == "detector" and not calibrated:
        export(name, run, other, *calibration(path))
        return
    with torch.no_grad():
        want = wrapped(example)
    got = session(path).run(None, {INPUTS[name]: example.numpy()})
    want = want if isinstance(want, tuple) else (want,)
    worst = max(float(np.abs(g - w.numpy()).max()) for g, w in zip(got, want))
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    print(f"{path.name}: {len(data)} bytes, sha256 {digest}, differs by at most {worst:.4f} from the trained network")
    note(name, len(data), digest)


def note(name: str, size: int, digest: str) -> None:
    """Writes size and hash into the manifest, if it knows the network."""
    path = settings.ROOT / "models/manifest.toml"
    text = path.read_text()
    at = text.find(f'file = "understudy_{name}.onnx"')
    if at < 0:
        return
    tail = re.sub(r"bytes = \d+", f"bytes = {size}", text[at:], count=1)
    tail = re.sub(r'sha256 = "\w+"', f'sha256 = "{digest}"', tail, count=1)
    path.write_text(text[:at] + tail)


def main(arguments) -> None:
    """Exports the networks asked for."""
    settings.one_thread()
    for name in arguments.only or EXAMPLES:
        if loop.checkpoint_path(arguments.run or name).exists():
            export(name, arguments.run or name, arguments.mean)
        else:
            print(f"{name}: no checkpoint yet")
