"""NF4, merging of adapters, packing, and the size that comes of it."""
