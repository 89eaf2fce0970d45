"""One step of a neuron of each code, in plain numpy: the oracle of the programs that targets make. One file a code."""
