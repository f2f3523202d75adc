"""What MLflow calls the metrics of tables: sorted by train/, val/, test/ and final/, as its pages group them."""

from harness.metrics import EVALUATION_METRICS

SPLITS = ("train", "val", "test")
MARK = "epoch"  # counts what was sent; it is no metric, and keeps its name
FINAL_METRICS = frozenset(name for names in EVALUATION_METRICS.values() for name in names)
OF_EPOCHS = ("step", "sharpness", "seconds")  # of no split, beside what a population tunes
COSTS = ("train_seconds", "peak_memory_mb")


def name_in_mlflow(name: str, *, at_end: bool) -> str:
    """MLflow's name of a metric: code/hoyer, measured at the end, is final/code/hoyer, and seconds are train/seconds.

    at_end: it is measured once. Those of a split have its name in front already.
    """
    if name == MARK or name.partition("/")[0] in SPLITS:
        return name
    return f"{'final' if at_end else 'train'}/{name}"


def name_in_tables(sent: str) -> tuple[str, bool]:
    """The name of a metric of MLflow's in tables, and whether it is measured at the end; also of older versions'."""
    if sent.startswith("final/"):
        return sent.removeprefix("final/"), True
    bare = sent.removeprefix("train/")
    name = bare if bare in OF_EPOCHS or bare.startswith("pbt/") else sent
    return name, name in FINAL_METRICS or name in COSTS
