"""NF4, merging of adapters, trimming, packing, and the size that comes of it."""
