"""One trial, several results: which numbers on the page differ for one and the same trial, and on which machines."""

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.claims.curves import name_at, name_model
from analysis.metrics import metric_of
from analysis.tables.conflicts import leading_results
from analysis.wording import decimal, markdown_table, plural

TITLE = "One trial, several results"
ANCHOR = "one-trial-several-results"
MACHINE = ("cpu", "cores", "platform", "host")


def describe_conflicts_of(study: str, beside: Mapping[str, Mapping[str, float]]) -> str:
    """What the section of a study says of its trials that have other results elsewhere; nothing if none has.

    beside: as `analysis.tables.conflicts.pairs_of_studies` returns it.
    """
    if study not in beside:
        return ""
    others = ", ".join(f"`{name}` (by up to {decimal(most, 2)})" for name, most in sorted(beside[study].items()))
    return f"† Trials of this study have other results in {others}: see [{TITLE.lower()}](#{ANCHOR})."


def tabulate_conflicts(conflicts: pd.DataFrame, records: Mapping[str, Sequence[Mapping[str, str]]]) -> list[str]:
    """A row for each trial with several results: each of them, in which studies, and on which machines.

    conflicts: as `analysis.tables.conflicts.find_conflicts` returns them. records: what trained each study.
    """
    if conflicts.empty:
        return []
    shown = leading_results(conflicts)
    letters, of_study = _name_machines({study: records.get(study, ()) for study in sorted(set(shown["study"]))})
    rows, widest = [], 0.0
    for trial_id, results in shown.groupby("trial_id", sort=False):
        metric, first = str(results["metric"].iloc[0]), results.iloc[0]
        difference = float(results["value"].max() - results["value"].min())
        widest = max(widest, difference)
        name = name_at(name_model(str(first["model"]), float(first["alpha"])), int(first["latent_dim"]))
        told = [
            f"{decimal(float(str(value)), 2)} in {', '.join(f'`{study}`{of_study[study]}' for study in studies)}"
            for value, studies in results.groupby("value")["study"].agg(list).items()
        ]
        rows.append(
            [
                f"`{str(trial_id)[:8]}`",
                f"{name}, {plural(int(first['epochs']), 'epoch')}, seed {first['seed']}",
                f"{metric}: {'; '.join(told)}",
                f"{decimal(difference, 2)} {metric_of(metric).unit}".strip(),
            ]
        )
    machines = ", as of several machines: training carries on how each rounds" if len(letters) > 1 else ""
    older = " Older tables do not say how a trial was measured." if shown["evaluated"].isna().any() else ""
    return [
        f"{plural(len(rows), 'trial')} of the studies above {'has' if len(rows) == 1 else 'have'} several results, "
        f"which differ by up to {decimal(widest)}{machines}.{older} Every figure and verdict of a study is computed "
        "from that study's own results. Where several machines trained a study, which of them trained a trial is not "
        "recorded.",
        "\n".join(f"- {letter}: {machine}" for machine, letter in letters.items()),
        markdown_table(["trial", "what it is", "results, by study and machine", "differ by"], rows),
    ]


def _name_machines(
    records: Mapping[str, Sequence[Mapping[str, str]]],
) -> tuple[dict[str, str], dict[str, str]]:
    """A letter for each machine that trained any of these studies, and those of each study in brackets."""
    letters: dict[str, str] = {}
    of_study = {}
    for study, record in records.items():
        found: dict[str, None] = {}
        for entry in record:
            machine = ", ".join(f"{key} {entry[key]}" for key in MACHINE if key in entry)
            found[letters.setdefault(machine, chr(ord("A") + len(letters)))] = None
        of_study[study] = f" ({' or '.join(sorted(found))})" if found else ""
    return letters, of_study
