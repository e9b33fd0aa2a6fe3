"""What others receive: facts, model card, exports, the bundle for IWSLT."""
