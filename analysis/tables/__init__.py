"""What analysis reads: the tables of a study, and what is computed from them before anything is drawn."""

from analysis.tables.tables import TableError, Tables, join_studies, load_tables, of_search

__all__ = ["TableError", "Tables", "join_studies", "load_tables", "of_search"]
