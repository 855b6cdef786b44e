"""Writes the networks as ONNX with 16-bit weights, and their sizes and hashes into the manifest."""

import hashlib
import importlib
import re

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from . import loop, settings
from .teachers import session

OPSET = 17
EXAMPLES = {"detector": (1, 3, 384, 640), "landmarks": (1, 192, 192, 3), "embedding": (1, 3, 112, 112)}
INPUTS = {"detector": "input", "landmarks": "input_1", "embedding": "input0"}


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


def export(name: str, run: str) -> None:
    """Writes one network and checks that it says what the trained one says."""
    module = importlib.import_module(f"networks.{name}")
    task = module.Training.__new__(module.Training)
    net = {"detector": "Detector", "landmarks": "Landmarks", "embedding": "Embedding"}[name]
    task.model = getattr(module, net)
    wrapped = module.Exported(loop.averaged(task, run)).eval()
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
            export(name, arguments.run or name)
        else:
            print(f"{name}: no checkpoint yet")
