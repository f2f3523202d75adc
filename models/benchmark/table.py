"""Format the results of the benchmark as text."""

from textwrap import wrap
from typing import Any

WIDTH = 120  # characters
COLUMNS = {  # heading: name in the results, format
    "trials": ("num_trials", "{:d}"),
    "ms/step": ("ms_per_step", "{:.3f}"),
    "trial-epochs/h": ("trial_epochs_per_hour", "{:,.0f}"),
    "x plain": ("ratio_to_plain_loop", "{:.2f}"),
    "x start": ("ratio_to_start", "{:.2f}"),
    "MB": ("peak_memory_mb_per_process", "{:,.0f}"),
    "floor ms": ("floor_ms_per_step", "{:.3f}"),
    "of floor": ("fraction_of_floor", "{:.0%}"),
}


def format_table(results: dict[str, Any], *, explain: bool = True) -> str:
    """Format the results of `compare` as lines of text. explain: with notes on what the numbers mean."""
    notes = ["", *format_notes(results)] if explain else []
    return "\n".join([*format_header(results), "", *format_rows(results["rows"]), *notes])


def format_header(results: dict[str, Any]) -> list[str]:
    """Format the machine, the date, the command and the model."""
    machine, model = results["machine"], results["model"]
    gpu = f"{machine['gpu']}, {machine['gpu_memory_gb']:.0f} GB" if machine["gpu"] else "no GPU"
    return [
        f"machine  {machine['cpu']}, {machine['num_cores']} cores, {machine['memory_gb']:.0f} GB; {gpu}",
        f"         torch {machine['torch']}, Python {machine['python']}, {machine['system']}",
        f"date     {results['date']}",
        f"command  {results['command']}",
        f"model    VSC {model['num_pixels']}-{model['num_hidden']}-{model['latent_dim']}, alpha {model['alpha']}, "
        f"{model['num_parameters']:,} parameters; batch {model['batch_size']}; "
        f"{model['num_steps_per_epoch']:,} steps an epoch; images: {model['images']}",
        f"timed    about {results['seconds_per_row']:g} s a row, after a warm-up; each row in fresh processes",
    ]


def format_rows(rows: list[dict[str, Any]]) -> list[str]:
    """Format the rows under their headings; a row that failed has its problem in place of numbers."""
    width = max(len(row["name"]) for row in rows)
    lines = ["  ".join([" " * width, *COLUMNS])]
    for row in rows:
        if row["problem"] is not None:
            lines.append(f"{row['name']:<{width}}  {row['problem']}")
            continue
        cells = [_format(row[key], style).rjust(len(heading)) for heading, (key, style) in COLUMNS.items()]
        lines.append("  ".join([row["name"].ljust(width), *cells]))
    return lines


def _format(value: Any, style: str) -> str:
    return "-" if value is None else style.format(value)


def format_notes(results: dict[str, Any]) -> list[str]:
    """Format what the numbers mean, and what the floors were computed from."""
    notes = [*results["notes"], *map(_describe_floor, results["floors"])]
    return [line for note in notes for line in wrap(f"- {note}", width=WIDTH, subsequent_indent="  ")]


def _describe_floor(floor: dict[str, Any]) -> str:
    return (
        f"floor on the {floor['device'].replace('cuda', 'GPU').replace('cpu', 'CPU')}, {floor['precision']}: "
        f"{floor['mb_per_trial_step']:.1f} MB at {floor['bandwidth_gb_per_second']:,.0f} GB/s (copying within "
        f"{floor['copied_mb']:,.0f} MB), {floor['mflop_per_trial_step']:.1f} Mflop at "
        f"{floor['products_gflop_per_second']:,.0f} Gflop/s: {floor['ms_per_trial_step']:.3f} ms a step of one trial, "
        f"set by {floor['set_by']}"
    )
