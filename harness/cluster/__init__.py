"""Ray: the cluster that a study runs on, and the jobs that are submitted to it."""

DASHBOARD = "http://127.0.0.1:8265"
"""Where a cluster's dashboard is for who is on its head, or has its port forwarded."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Hosts that this machine alone reaches."""
