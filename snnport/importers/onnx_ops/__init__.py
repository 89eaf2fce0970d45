"""The operators of ONNX: one function each, from a node of the file to nodes of the graph."""
