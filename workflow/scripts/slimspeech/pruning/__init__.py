"""The layer search: criteria, selection, shards, tables; and the model without a layer."""
