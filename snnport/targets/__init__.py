"""Chips: their numbers, rules, lowering and placement."""
