"""Compare Dockerfiles for the same project.

``dockerfiles`` names them, ``builds`` and ``serving`` measure, ``measure`` takes turns,
``report`` shows the result and keeps the one in docs/benchmark.json.
"""
