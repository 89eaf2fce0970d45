"""The codes: how counts become spikes. One file a code; table.py lists them, docs/codes.md compares them."""
