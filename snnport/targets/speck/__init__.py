"""SynSense's Speck 2f."""
