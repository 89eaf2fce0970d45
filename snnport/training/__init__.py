"""NIR graphs as torch modules."""
