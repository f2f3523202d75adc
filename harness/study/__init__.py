"""A study file: its fields, what is checked, how it is read."""

from harness.study.study import Study

__all__ = ["Study"]
