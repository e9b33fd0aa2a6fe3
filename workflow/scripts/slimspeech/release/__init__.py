"""What is given away: facts, model card, exports, the bundle for IWSLT."""
