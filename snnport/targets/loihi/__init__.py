"""Intel's Loihi 2."""
