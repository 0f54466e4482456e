"""Model files: the manifest, where they are stored, and how they are downloaded."""
"""Model files: the manifest, where they are stored, and how they are downloaded."""
