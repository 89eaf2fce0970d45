"""tinyODIN: one core of 256 neurons and a crossbar of 4-bit synapses, driven by events and not by time steps."""
