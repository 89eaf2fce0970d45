"""The whole tool: one file for each piece of work a user asks for."""
