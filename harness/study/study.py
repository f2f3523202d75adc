"""A study: one YAML file that asks one question, with checks on the file as a whole."""

from typing import Any, Self

from pydantic import model_validator

from harness.study.checks import check_combination
from harness.study.domains import Domain, Interval
from harness.study.fields import MAX_TRIALS, StudyFields, list_choices_of, list_models
from harness.study.sections import ADAPTIVE_SAMPLERS, check_seeds
from models.choices import MODELS
from models.setting import SETTINGS, applies, belongs, list_required, refuse_beside, refuse_setting


class Study(StudyFields):
    """One question: a dataset, a space of settings, how to search it, what to measure."""

    @model_validator(mode="before")
    @classmethod
    def _use_own_plugins(cls, content: Any) -> Any:
        """Let a study know its own plug-ins alone, none of those of the studies that were read before."""
        cls.use_plugins()
        return content

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if not self.space:
            model = next(iter(MODELS))
            raise ValueError(f"space: no sub-space, so the study has no trials; add one, such as - model: {model}")
        check_seeds("seeds", self.seeds)
        if self.plugins != tuple(plugin.name for plugin in self.loaded_plugins):
            raise ValueError("plugins: they are found beside the study's file; read it, with Study.from_file in Python")
        for i, sub in enumerate(self.sub_spaces()):
            self._check_sub_space(i, sub)
        check_combination(self)
        num_trials = self.count_trials()
        if num_trials > MAX_TRIALS:
            field = "space" if self.search.num_trials is None else "search.num_trials"
            raise ValueError(f"{field}: {num_trials:.3g} trials in all; take fewer, {MAX_TRIALS} at most")
        return self

    def _check_sub_space(self, i: int, sub: dict[str, Domain]) -> None:
        where = f"space[{i}]"
        models = list_models(sub)
        if len(models) != 1:
            raise ValueError(f"{where}.model: give one model to each sub-space: {' or '.join(MODELS)}")
        (model,) = models
        for setting in self.space[i].model_dump(exclude={"seeds"}, exclude_none=True):
            if not belongs(setting, model):
                raise ValueError(f"{where}.{setting}: {refuse_setting(setting, model)}")
        for setting, domain in sub.items():
            unfit = [beside for beside in list_choices_of(sub) if not applies(setting, beside)]
            if unfit and domain.extent != (SETTINGS[setting].default,):
                raise ValueError(f"{self.section_of(i, setting)}.{setting}: {refuse_beside(setting, unfit[0])}")
        for setting in list_required(model):
            if setting not in sub:
                example = SETTINGS[setting].metadata["example"]
                raise ValueError(
                    f"{where}.{setting}: missing; a {model} needs one, such as {setting}: {example}, "
                    "here or under defaults"
                )
        for setting, domain in sub.items():
            if self.search.sampler == "grid" and isinstance(domain, Interval):
                raise ValueError(
                    f"{self.section_of(i, setting)}.{setting}: a grid cannot enumerate {domain.kind}; list values "
                    "with grid: [...], or set search.sampler to random or tpe"
                )
        self._check_seeds(where, self.space[i].seeds)
        self._check_epochs(self.section_of(i, "epochs"), sub.get("epochs"))

    def _check_seeds(self, where: str, seeds: tuple[int, ...] | None) -> None:
        if seeds is None:
            return
        check_seeds(f"{where}.seeds", seeds)
        if self.search.sampler != "grid":
            raise ValueError(
                f"{where}.seeds: {self.search.sampler} draws from all of the space; give seeds of the study"
            )

    def _check_epochs(self, where: str, epochs: Domain | None) -> None:
        scheduler, sampler = self.scheduler.name, self.search.sampler
        if epochs is not None and epochs.is_searched:
            if scheduler != "fifo":
                raise ValueError(f"{where}.epochs: {scheduler} needs one number of epochs; it stops trials before that")
            if sampler in ADAPTIVE_SAMPLERS:
                raise ValueError(
                    f"{where}.epochs: {sampler} compares trials of one length; give one number, and scheduler: "
                    "{name: asha} to spend fewer, or list lengths in a grid study"
                )
