"""Download from the Hugging Face Hub, and push to it."""
