"""claims.yaml: what is claimed and by which number it is judged, checked with one sentence for every mistake."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, field_validator

from analysis import yaml12
from analysis.claims.quantities import QUANTITIES
from analysis.claims.quantity import Frozen, Quantity
from analysis.errors import AnalysisError
from analysis.tables.significance import Test
from analysis.wording import SLUG, suggest

M = TypeVar("M", bound=BaseModel)


class ClaimsError(AnalysisError):
    """A file of claims that cannot be used: the file, the claim, and what to do."""


def _check_slug(text: str) -> str:
    if not SLUG.fullmatch(text):
        raise ValueError(f"{text!r} is not a slug; use a-z, 0-9 and single - or _, such as vae-has-the-better-bound")
    return text


Slug = Annotated[str, AfterValidator(_check_slug)]


def _as_tuple(raw: Any) -> Any:
    """One value or a list of them, as YAML has either."""
    return tuple(raw) if isinstance(raw, list) else raw if isinstance(raw, tuple) or raw is None else (raw,)


class Claim(Frozen):
    """One claim of the report, under one variant of how it is measured."""

    id: Slug
    section: str = Field(description="of the report", min_length=1)
    claim: str = Field(description="the report's words, paraphrased in one sentence", min_length=1)
    variant: str = Field(default="", description="how this entry measures it, where the claim has several entries")
    study: Annotated[tuple[Slug, ...], BeforeValidator(_as_tuple)] = Field(
        description="the studies that test it, each judged for itself", min_length=1
    )
    figure: str = Field(default="", description="the one of the study that shows it, by the name of its file")
    quantity: str = Field(description="the computation in analysis/claims that yields one number per seed")
    parameters: dict[str, Any] = Field(default={}, description="of the quantity")
    test: Test = Field(description="what the number has to be, compared with the threshold; equivalent: within it")
    threshold: float = Field(description="in the quantity's unit")
    paired: bool = Field(default=False, description="differences are taken within a seed, not of independent samples")
    primary: Annotated[tuple[int, ...], BeforeValidator(_as_tuple)] | None = Field(
        default=None, description="latent dimensions of the claim's primary endpoint; without, the entry is exploratory"
    )
    alphas: Annotated[tuple[float, ...], BeforeValidator(_as_tuple)] = Field(
        default=(), description="of the primary endpoint, where it is of several: others are exploratory"
    )

    @field_validator("quantity")
    @classmethod
    def _check_quantity(cls, name: str) -> str:
        if name not in QUANTITIES:
            raise ValueError(f"no quantity {name!r}; {suggest(name, QUANTITIES)}")
        return name

    @property
    def words(self) -> str:
        """The claim and, where there are several, the variant."""
        return f"{self.claim.removesuffix('.')} ({self.variant})." if self.variant else self.claim

    def build_quantity(self) -> Quantity:
        """The computation with its parameters."""
        return QUANTITIES[self.quantity].model_validate(self.parameters)


def load_claims(path: Path) -> list[Claim]:
    """The claims of a file, in its order.

    Raises:
        ClaimsError: one sentence that names the file, the claim, the field and the fix.
    """
    claims: list[Claim] = []
    for number, raw in enumerate(_read(path), 1):
        if not isinstance(raw, dict):
            raise ClaimsError(f"{path}: claim {number}: {raw!r} is not a mapping; begin it with `- id: ...`")
        where = f"{path}: claim {raw.get('id', number)}"
        claim = _validate(Claim, raw, where)
        _validate(QUANTITIES[claim.quantity], claim.parameters, f"{where}: parameters")
        if claim.test == "equivalent" and QUANTITIES[claim.quantity].is_share:
            raise ClaimsError(f"{where}: test: a share of trials is not tested so; use greater or less")
        if claim.id in {other.id for other in claims}:
            raise ClaimsError(f"{where}: given twice; give one of them another id")
        if claim.primary is not None and (twin := next((o for o in claims if _is_rival(o, claim)), None)):
            raise ClaimsError(f"{where}: primary: {twin.id} is the primary endpoint of this claim; remove one of them")
        if claim.alphas and claim.primary is None:
            raise ClaimsError(f"{where}: alphas: they are of a primary endpoint; add primary, or remove them")
        claims.append(claim)
    return claims


def _is_rival(other: Claim, claim: Claim) -> bool:
    return other.primary is not None and other.claim == claim.claim


def _read(path: Path) -> list[Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml12.Loader)  # noqa: S506 (a safe one)
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        line = f":{mark.line + 1}" if mark else ""
        raise ClaimsError(f"{path}{line}: not valid YAML; mend that line") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ClaimsError(f"{path}: cannot be read ({reason}); give the path of a file of claims") from error
    if not isinstance(content, list) or not content:
        raise ClaimsError(f"{path}: not a list of claims; begin each with `- id: ...`")
    return content


def _validate(model: type[M], raw: dict[str, Any], where: str) -> M:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ClaimsError(f"{where}: {_describe(error, model)}") from None


def _describe(error: ValidationError, model: type[BaseModel]) -> str:
    """The first complaint: the field and the fix."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{field}: missing; add it"
    if first["type"] == "extra_forbidden":
        known = model.model_fields if len(first["loc"]) == 1 else {}
        return f"{field}: unknown key; {suggest(field, known) if known else 'remove it'}"
    message = str(first.get("ctx", {}).get("error", first["msg"]))
    fix = "" if ";" in message else f"; it is {first['input']!r} now"
    return f"{field}: {message}{fix}"
