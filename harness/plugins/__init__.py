"""Plug-ins: models, networks and datasets from outside, found, shipped to workers, and told apart by their source.

A plug-in is a module with a function `register(registry)`. docs/plugin-example has one.
"""

from harness.plugins.registry import Registry
from models.setting import setting

__all__ = ["Registry", "setting"]
