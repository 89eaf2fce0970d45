"""What a run found, as JSON, Markdown, HTML and terminal tables."""
