# /// script
# requires-python = ">=3.11"
# dependencies = ["torch==2.13.0", "scikit-learn", "onnx>=1.17"]
# ///
"""Train the network that ships as the demo and write it, with its data, into FOLDER (default: the package's own folder).

The data are the UCI optical digits (Alpaydin & Kaynak 1998, CC BY 4.0, doi:10.24432/C50P49) as scikit-learn carries them.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "snnport" / "models" / "digits"
EPOCHS, BATCH = 60, 32

torch.manual_seed(0)
torch.set_num_threads(1)
data = load_digits()
images = data.images.astype(np.uint8)[:, None]  # (1797, 1, 8, 8), pixels 0..16
x_train, x_test, y_train, y_test = train_test_split(images, data.target, test_size=400, stratify=data.target, random_state=0)
np.savez_compressed(FOLDER / "digits_test.npz", x=x_test, y=y_test.astype(np.uint8))
np.savez_compressed(FOLDER / "digits_calibration.npz", x=x_train[:128])

pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
layers = [
    (nn.Conv2d(1, 8, 3, padding=1), "Conv", {"pads": [1] * 4}),
    (nn.BatchNorm2d(8), "BatchNormalization", {}),
    (nn.ReLU(), "Relu", {}),
    (nn.MaxPool2d(2), "MaxPool", pool),
    (nn.Conv2d(8, 16, 3, padding=1), "Conv", {"pads": [1] * 4}),
    (nn.BatchNorm2d(16), "BatchNormalization", {}),
    (nn.ReLU(), "Relu", {}),
    (nn.AvgPool2d(2), "AveragePool", pool),
    (nn.Flatten(), "Flatten", {}),
    (nn.Linear(64, 10), "Gemm", {"transB": 1}),
]
net = nn.Sequential(*(layer for layer, _, _ in layers))
x, y = torch.tensor(x_train / np.float32(16)), torch.tensor(y_train)
optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3, weight_decay=1e-2)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, epochs=EPOCHS, steps_per_epoch=-(-len(x) // BATCH))
for _ in range(EPOCHS):
    for part in torch.randperm(len(x)).split(BATCH):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[part]), y[part]).backward()
        optimizer.step()
        schedule.step()
net.eval()
with torch.no_grad():
    accuracy = (net(torch.tensor(x_test / np.float32(16))).argmax(1).numpy() == y_test).mean()
print(f"accuracy on the {len(y_test)} held-out digits: {accuracy:.4f}")

weights = {k: v.numpy() for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
flow = ["input", *(f"{kind.lower()}_{i}" for i, (_, kind, _) in enumerate(layers[:-1])), "output"]
nodes = [
    helper.make_node(kind, [flow[i], *(k for k in weights if k.startswith(f"{i}."))], [flow[i + 1]], f"{kind}_{i}", **options)
    for i, (_, kind, options) in enumerate(layers)
]
ends = [helper.make_tensor_value_info(name, 1, ["N", *shape]) for name, shape in (("input", (1, 8, 8)), ("output", (10,)))]
graph = helper.make_graph(nodes, "digits", ends[:1], ends[1:], [numpy_helper.from_array(v, k) for k, v in weights.items()])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="snnport")
onnx.checker.check_model(model, full_check=True)
onnx.save(model, FOLDER / "digits.onnx")
