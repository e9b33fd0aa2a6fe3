"""Talks of any length: segmentation, translation, subtitles."""
