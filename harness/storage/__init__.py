"""The places of results, folders and buckets; files that are whole or not there; locks, leases and SQLite."""
