"""May this model directory be opened?"""
