"""The reference networks that ship with snnport."""
