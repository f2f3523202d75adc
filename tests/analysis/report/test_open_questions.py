# ruff: noqa: RUF001  (a Greek letter, meant as one)
import re
from dataclasses import replace

import pytest

from analysis.report import open_questions
from analysis.report.answers_from_grids import is_grid
from analysis.report.guard import Guard
from analysis.report.open_questions import answer_open_questions
from analysis.tables import Tables
from tests.analysis.synthetic import SyntheticStudy

QUESTIONS = [
    "Does the batch size matter?",
    "Which learning rate?",
    "How many epochs are enough at which latent dimension?",
    "How far from converged was training for 11 epochs?",
    "Which α and latent dimension did a search choose?",
]


def sections(text: str) -> dict[str, str]:
    """The answer to each question."""
    _, *parts = re.split(r"^### (.*)\n\n", text, flags=re.MULTILINE)
    return {question: answer.strip() for question, answer in zip(parts[::2], parts[1::2], strict=True)}


@pytest.fixture
def grid() -> Tables:
    study = SyntheticStudy()
    for batch_size in (16, 64):
        for learning_rate in (1e-3, 1e-2):
            study.add("vae", 8, 0, epochs=3, batch_size=batch_size, learning_rate=learning_rate)
    return study.tables()


@pytest.fixture
def lengths() -> Tables:
    study = SyntheticStudy("mnist")
    for epochs in (11, 40):
        for seed in (0, 1):
            study.add("vae", 24, seed, epochs=epochs)
    study.add("vae", 24, 2, epochs=40, status="running")
    return study.tables()


@pytest.fixture
def search() -> Tables:
    study = SyntheticStudy()
    study.random_search(12, epochs=3)
    first = study.trials[0]
    same = {name: first[name] for name in ("learning_rate", "batch_size", "latent_dim")}
    study.add("vae", seed=0, sampler="random", phase="confirm", num_validation=0, epochs=3, **same)
    return study.tables()


def test_the_section_has_its_title_and_every_question() -> None:
    text = answer_open_questions({})
    assert text.startswith("### Does the batch size matter?")
    assert text.endswith(".\n")
    assert list(sections(text)) == QUESTIONS


def test_each_question_is_answered_by_the_studies_that_can(grid: Tables, lengths: Tables, search: Tables) -> None:
    answers = sections(answer_open_questions({"a": grid, "b": lengths, "c": search}))
    named = {question: re.findall(r"^`(\w)`", answer, flags=re.MULTILINE) for question, answer in answers.items()}
    assert list(named.values()) == [["a"], ["a", "c"], ["b"], ["b"], ["c"]]
    assert not any("cannot" in answer for answer in list(answers.values())[:2])


def test_what_a_study_can_answer_does_not_hang_on_its_name(grid: Tables) -> None:
    answer = sections(answer_open_questions({"training-length": grid}))[QUESTIONS[0]]
    assert answer.startswith("`training-length` (digits, 1 seed, 3 epochs): each at its best learning rate,")


def test_an_answer_names_dataset_seeds_epochs_and_trials_that_did_not_end(lengths: Tables) -> None:
    answer = sections(answer_open_questions({"long": lengths}))[QUESTIONS[2]]
    assert answer.startswith("`long` (mnist, 3 seeds, 11 to 40 epochs, 1 of 5 trials running): to stay within 1 nat")


def test_the_figure_of_a_search_over_batch_sizes_is_pointed_to(search: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "importance" not in answer_open_questions({"s": search})  # too few trials for more than a hint
    monkeypatch.setattr(open_questions, "ENOUGH_TRIALS", 4)
    assert sections(answer_open_questions({"s": search}))[QUESTIONS[0]].endswith(
        "How much the batch size mattered in a search is in the figure hyperparameter_importance of `s`."
    )


def test_a_figure_that_a_search_of_few_finished_trials_lacks_is_not_pointed_to(search: Tables) -> None:
    trials = search.trials.copy()
    finished = trials.index[(trials["phase"] == "search") & (trials["status"] == "finished")]
    trials.loc[finished[3:], "status"] = "stopped"
    answer = sections(answer_open_questions({"s": replace(search, trials=trials)}))[QUESTIONS[0]]
    assert "hyperparameter_importance" not in answer


def test_without_any_study_every_answer_says_what_is_missing() -> None:
    answers = sections(answer_open_questions({}))
    assert answers[QUESTIONS[0]] == (
        "This cannot be answered: no study here trains a grid of learning rates by batch sizes."
    )
    for question in QUESTIONS[2:4]:
        assert answers[question] == (
            "This cannot be answered: no study here reads the same trainings off at several lengths."
        )
    assert answers[QUESTIONS[4]] == (
        "This cannot be answered: no study here searches, or trains its best configurations again to confirm them."
    )


def test_a_study_that_should_answer_but_cannot_says_why(search: Tables, lengths: Tables) -> None:
    unconfirmed = Tables(search.trials[search.trials["phase"] == "search"], search.history)
    short = Tables(lengths.trials.assign(epochs=lengths.trials["epochs"] + 1), lengths.history)
    answers = sections(answer_open_questions({"s": unconfirmed, "t": short}))
    assert answers[QUESTIONS[4]] == (
        "`s` (digits, 1 seed, 3 epochs) cannot answer this: no configuration was trained again to confirm it."
    )
    assert answers[QUESTIONS[3]].endswith(
        "cannot answer this: no configuration was read off both at 11 epochs and later."
    )


def test_a_study_that_has_only_begun_answers_nothing() -> None:
    begun = SyntheticStudy()
    begun.add("vae", 8, 0)
    tables = begun.tables()
    empty = Tables(tables.trials.iloc[:0], tables.history.iloc[:0])
    assert answer_open_questions({"begun": empty}) == answer_open_questions({})


def test_an_answer_that_goes_wrong_costs_no_other(
    grid: Tables, search: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(tables: Tables) -> bool:
        if tables is broken:
            raise ZeroDivisionError("planted")
        return is_grid(tables)

    broken, told = Tables(grid.trials.drop(columns="batch_size"), grid.history), list[str]()
    monkeypatch.setattr(open_questions, "is_grid", fail)
    answers = sections(answer_open_questions({"a": grid, "b": broken, "c": search}, Guard(told.append)))
    assert answers[QUESTIONS[0]].startswith("`a` (digits, 1 seed, 3 epochs): each at its best learning rate,")
    assert "**Missing:** the answer of b, an error in making it (KeyError" in answers[QUESTIONS[0]]
    assert answers[QUESTIONS[4]].startswith("`c`")
    assert len(told) == 2  # to each question about grids
