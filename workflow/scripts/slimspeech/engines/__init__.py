"""Serving engines: what is asked of them and what they answer, in the form of OpenAI's chat."""

MODEL = "student"  # the name under which an engine that we start serves a model
