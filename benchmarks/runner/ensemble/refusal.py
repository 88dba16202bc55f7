"""Why trainings go on alone."""


class Unstackable(RuntimeError):
    """These trainings cannot be computed together; the message is the reason."""
