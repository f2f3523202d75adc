"""The page that shows what studies found, and its parts."""

from analysis.report.page import StudyReport, write_report

__all__ = ["StudyReport", "write_report"]
