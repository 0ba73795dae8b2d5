"""The shipped bundle and the platform clients."""
