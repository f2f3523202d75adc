"""Figures, verdicts and a page, computed from the tables of studies alone: no Ray and no torch here.

"The report" is the one that these studies test, "[Re] Variational Sparse Coding"; what `analysis.report` writes is the
page.
"""
