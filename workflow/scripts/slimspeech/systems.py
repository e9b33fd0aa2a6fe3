"""Names of the systems that an experiment has beside its students."""

BASE, TEACHER = "base", "teacher"
