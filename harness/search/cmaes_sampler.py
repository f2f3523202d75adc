"""Optuna's CMA-ES, whose optimiser is pickled in the history: restored so that no history can run code."""

import io
import pickle
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from optuna.samplers import CmaEsSampler

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

NEEDED = {
    ("cmaes._cma", "CMA"),
    ("cmaes._cmawm", "CMAwM"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),  # in pickles as Python writes them from 3.14 on
}
"""What an optimiser with margin is made of: module and name."""


class GuardedCmaEsSampler(CmaEsSampler):  # type: ignore[misc]
    """CMA-ES with margin that trusts no history: whoever wrote it may be a stranger."""

    def _restore_optimizer(self, completed_trials: "Sequence[FrozenTrial]") -> Any:
        """Restore the newest optimiser that the trials hold, as Optuna does; None where they hold none.

        Raises:
            pickle.UnpicklingError: it is damaged, or made of anything else; nothing of that was run.
        """
        for trial in reversed(completed_trials):
            parts = {key: part for key, part in trial.system_attrs.items() if key.startswith(self._attr_key_optimizer)}
            if parts:
                try:
                    return _Unpickler(io.BytesIO(bytes.fromhex(self._concat_optimizer_attrs(parts)))).load()
                except Exception as error:  # a pickle that is cut short or altered raises anything
                    raise pickle.UnpicklingError(
                        f"trial {trial.number} holds a state of CMA-ES that is damaged or foreign ({error})"
                    ) from error
        return None


class _Unpickler(pickle.Unpickler):
    """Finds nothing but what is needed, and none of that does more than hold numbers."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in NEEDED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return super().find_class(module, name)
