import logging


class OneLineFormatter(logging.Formatter):
    """Container logs are read line by line, so a traceback must stay on one line."""

    def format(self, record):
        return " | ".join(super().format(record).splitlines())
