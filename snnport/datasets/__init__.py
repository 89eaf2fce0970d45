"""Input data: pictures or spikes with their labels, brought into the order of the model's input, scaled when used.

x is images (n_samples, *shape) or spikes (n_samples, n_steps, *shape); `shape` is the model's input shape, without batch and
time. The number of axes decides which. Axes of length one are added or removed, channels-last maps turned and one-channel
maps flattened only where the shapes leave one reading. Values keep their type (a picture of bytes stays bytes) until `batch`
is asked for some samples. Files: .npz, .npy, idx (.gz too), sparse events (.npz with t, index, sample), PNG (a sample
a row), NIRData, N-MNIST's
.bin recordings.
"""

from snnport.datasets.axes import LAYOUTS
from snnport.datasets.samples import Samples, Scaling, load_labels, load_samples

__all__ = ["LAYOUTS", "Samples", "Scaling", "load_labels", "load_samples"]
