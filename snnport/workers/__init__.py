"""Scripts that run inside a vendor's own interpreter."""
