"""Entry points, runtime, executor, shutdown."""
