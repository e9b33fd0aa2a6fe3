"""From a clip and a prompt to text: embeddings, the greedy engine, translation."""
