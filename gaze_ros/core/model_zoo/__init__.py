"""Models: manifest, registry, local store, download."""
