"""A student of a given size: what each way to make it smaller costs, and which ways fit best."""
