"""Rewritings that make a spiking network fit a chip. Targets offer them (targets/base.py, Fix), flow/fix.py proves them."""
