"""How a process starts, runs its nodes and shuts down."""
