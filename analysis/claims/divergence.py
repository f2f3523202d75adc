"""Does the loss become non-finite without a clamp or a sigmoid, and only then? And with a KL from logits?"""

from typing import ClassVar, Literal

import numpy as np
import pandas as pd

from analysis.claims.curves import name_at, name_model
from analysis.claims.quantity import Quantity, Sample, UndecidableError
from analysis.claims.rates import OF_TRIALS
from analysis.tables import Tables
from analysis.wording import short_value

OLDER = "gamma"  # what the KL is computed from in tables of when there was no choice
LINKS = {"exp_relu": "the report's link", "sigmoid": "sigmoid"}


class DivergenceAsClaimed(Quantity):
    """Share of trials that go as claimed: diverged with neither guard, finite with a clamp or the sigmoid.

    A part for each guard, alpha and latent dimension; its interval is exact (Clopper-Pearson). Trials that failed, or
    have not ended, are missing.

    kl_from: only of the trials whose KL is computed so. From gamma, as the report has it; from logits there is nothing
    to clamp, and the loss is claimed to stay finite with either link.
    """

    is_share: ClassVar[bool] = True

    kl_from: Literal["gamma", "logits"] = "gamma"

    def measure(self, tables: Tables) -> list[Sample]:
        """See the class."""
        whole = tables.trials[tables.trials["model"] == "vsc"]
        if whole.empty:
            raise UndecidableError("the study has no VSC")
        trials = whole.assign(kl_from=whole.get("kl_from", pd.Series(OLDER, index=whole.index)).fillna(OLDER))
        trials = trials[trials["kl_from"] == self.kl_from]
        if trials.empty:
            raise UndecidableError(f"the study has no KL from {self.kl_from}")
        by = ["gamma_link", "gamma_clamp", "alpha", "latent_dim"]
        samples = [self._measure_one(rows, whole) for _, rows in trials.groupby(by, dropna=False)]
        if self.kl_from == "logits":
            missing = [f"trials with {name}" for link, name in LINKS.items() if link not in set(trials["gamma_link"])]
            return [*samples, *(Sample(f"VSC, {one}", OF_TRIALS, np.array([]), lacks=one) for one in missing)]
        is_unguarded = (trials["gamma_link"] == "exp_relu") & (trials["gamma_clamp"] == 0)
        if is_unguarded.all() or not is_unguarded.any():
            which = "with" if is_unguarded.all() else "without"
            samples.append(Sample(f"VSC {which} a guard", OF_TRIALS, np.array([]), lacks=f"trials {which} a guard"))
        return samples

    def _measure_one(self, rows: pd.DataFrame, whole: pd.DataFrame) -> Sample:
        first = rows.iloc[0]
        link, clamp = str(first["gamma_link"]), float(first["gamma_clamp"])
        from_logits = self.kl_from == "logits"
        expected = "diverged" if link == "exp_relu" and clamp == 0 and not from_logits else "finished"
        latent_dim, alpha = int(first["latent_dim"]), float(first["alpha"])
        where = name_at(name_model("vsc", alpha), latent_dim)
        clamped = f"clamp {short_value(clamp)}" if clamp else "no clamp"
        guard = f"{LINKS.get(link, link)}, {'KL from logits' if from_logits else clamped}"
        if rows["seed"].duplicated().any():
            lacks = "one trial for each seed: these differ in other settings"
            return Sample(f"{where}, {guard}", OF_TRIALS, np.array([]), None, latent_dim, (alpha,), lacks=lacks)
        asked = sorted(whole.loc[whole["latent_dim"] == latent_dim, "seed"].unique())
        status = rows.set_index("seed")["status"].reindex(asked, fill_value="not run")
        has_ended = status.isin(["finished", "diverged"])
        lacks = "; ".join(f"{where}, {guard}, seed {seed} ({of_one})" for seed, of_one in status[~has_ended].items())
        return Sample(
            f"{where}, {guard}: {'diverged' if expected == 'diverged' else 'finite'}",
            OF_TRIALS,
            (status == expected).astype(float).where(has_ended).to_numpy(),
            latent_dim=latent_dim,
            alphas=(alpha,),
            lacks=lacks,
            is_share=self.is_share,
        )
