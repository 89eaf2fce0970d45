"""The neuron families of the engine, a file for each group of equations; sim/neurons.py lists them in one table."""
