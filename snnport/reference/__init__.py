"""Plain execution of graphs in numpy: the oracle of passes, lowering and engine.

ann: feed-forward graphs, and every node without state. spiking: spiking graphs step by step, as a Convention means them;
cell: the neurons in real numbers, coded: those of networks that snnport converted, fixed: Loihi's integers.
"""

from snnport.reference.ann import conv2d, forward, node_function, quantised_relu, values_at
from snnport.reference.spiking import run_spiking

__all__ = ["conv2d", "forward", "node_function", "quantised_relu", "run_spiking", "values_at"]
