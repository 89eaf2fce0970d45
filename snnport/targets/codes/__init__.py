"""Engine neurons and control populations of each code, for targets whose neurons integrate and fire. One file a code."""
