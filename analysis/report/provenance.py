"""What produced the results and what they cost, as the page shows it."""

from collections.abc import Mapping, Sequence

from analysis.tables import Tables, join_studies
from analysis.tables.configurations import longest_of_each
from analysis.wording import markdown_table, plural

ROWS = {
    "code (git commit)": "git.commit",
    "uncommitted changes": "git.dirty",
    "study file (SHA-256)": "study.sha256",
    "dataset": "dataset",
    "dataset (SHA-256)": "dataset.sha256",
    "processor": "cpu",
    "cores": "cores",
    "system": "platform",
    "Python": "python",
}


OWN = ("study.sha256", "study", "date", "git.diff", "host")
"""What each study, each run or each machine has of its own."""


def describe_cost(tables: Mapping[str, Tables]) -> str:
    """Trials, seeds and training time of all studies together; what studies share is counted once."""
    if not tables:
        return ""
    trained = longest_of_each(join_studies(tables).trials).drop_duplicates("trial_id")
    hours, epochs = trained["train_seconds"].sum() / 3600, int(trained["epochs_trained"].sum())
    what = [plural(len(trained), "training"), plural(trained["seed"].nunique(), "seed"), f"{epochs:,} epochs"]
    shared = "each counted once where studies share it"
    return f"Altogether {', '.join(what)} and {hours:.1f} hours of training, {shared}."


def tabulate_provenance(records: Mapping[str, Sequence[Mapping[str, str]]]) -> list[str]:
    """Tables of what trained the studies, one for all studies whose records agree, then their uncommitted changes."""
    alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
    lacking = [name for name, record in records.items() if not record]
    for name, record in records.items():
        for entry in record:
            kept = {key: value for key, value in entry.items() if key not in OWN}
            alike.setdefault(tuple(sorted(kept.items())), []).append(name)
    parts = []
    for shared, names in alike.items():
        values = dict(shared)
        rows = [[words, values[key]] for words, key in ROWS.items() if key in values]
        plugins = [(key.split(".")[1], value) for key, value in shared if key.startswith("plugin.")]
        rows += [[f"plug-in {name} (SHA-256)", value] for name, value in plugins]
        versions = [f"{key.removeprefix('version.')} {value}" for key, value in shared if key.startswith("version.")]
        rows.append(["packages", ", ".join(versions)])
        studies = ", ".join(f"`{name}`" for name in dict.fromkeys(names))
        parts.append(f"{studies}:\n\n{markdown_table(['', ''], rows)}")
    hashes = [[f"`{name}`", f"`{record[-1].get('study.sha256', '')}`"] for name, record in records.items() if record]
    if hashes:
        parts.append(markdown_table(["study", "study file (SHA-256)"], hashes))
    diffs = dict.fromkeys(entry.get("git.diff", "") for record in records.values() for entry in record)
    parts += [f"Uncommitted changes:\n\n~~~~diff\n{diff}\n~~~~" for diff in diffs if diff]
    if lacking:
        parts.append(f"**Missing:** no record of what trained {', '.join(f'`{name}`' for name in lacking)}.")
    return parts
