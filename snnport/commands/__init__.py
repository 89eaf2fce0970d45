"""The verbs of the command line: each a function that parses its options, asks `flow` for the work and returns what to show."""
