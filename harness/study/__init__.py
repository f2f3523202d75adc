"""Study files: their fields, the checks on them, and how they are read."""

from harness.study.study import Study

__all__ = ["Study"]
