"""Fixtures of tests of single trials."""

from tests.harness.worker.tiny_trials import dataset, fits, whole

__all__ = ["dataset", "fits", "whole"]
