"""Figures and tables from the rows that a study left: no Ray and no torch here."""
