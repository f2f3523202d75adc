"""Ray: the cluster that a study runs on."""
