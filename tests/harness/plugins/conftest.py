"""Fixtures of tests of plug-ins."""

from tests.harness.plugins.examples import folder, none_left

__all__ = ["folder", "none_left"]
