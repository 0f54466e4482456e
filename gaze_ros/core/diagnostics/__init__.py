"""Statistics, checks and summaries behind /diagnostics and the log."""
