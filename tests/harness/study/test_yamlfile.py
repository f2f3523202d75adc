"""YAML: what is read as what, on which line it stands, and what is refused in one line."""

import math
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.study.yamlfile import MAX_VALUES, format_path, format_yaml, read_yaml_mapping

FILE = Path("some/study.yaml")
OF_YAML_1_1 = [
    *("yes", "No", "ON", "off", "y", "1_000", "1:30", "190:20:30.15", "0b11", "2001-01-01", "2001-12-14 21:59:43.10"),
    *("0o8", "+0x10", "1_0.5", "685.230_15e+03", "=", "nULL", "tRUE", ".iNF", "1.5.2", "+.nan"),
]
"""What YAML 1.1 takes for truth values, numbers and dates; in YAML 1.2 it is text."""


def read(text: str) -> dict[str, Any]:
    return read_yaml_mapping(text, FILE)[0]


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read_yaml_mapping(text, FILE)
    message = str(caught.value)
    assert message.startswith(f"{FILE}:")
    assert message.isprintable()
    return message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100_000.0),
        ("-2.5e+2", -250.0),
        ("1.e2", 100.0),
        (".5e-1", 0.05),
        ("1.0e-3", 0.001),
        ("12", 12),
        ("0.5", 0.5),
        ("1e400", math.inf),
        ("010", 10),
        ("08", 8),
        ("-017", -17),
        ("0o17", 15),
        ("0x1F", 31),
        ("+12", 12),
        ("1.", 1.0),
        ("-.INF", -math.inf),
        ("!!int 010", 10),
        ("!!float 010", 10.0),
        ("!!int 0x10", 16),
    ],
)
def test_numbers_are_read_as_yaml_1_2_has_them(text: str, value: float) -> None:
    found = read(f"a: {text}")["a"]
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("text", ["1e", "e3", "'1e3'", "1e3x", "lr-1e3", ".", *OF_YAML_1_1])
def test_what_only_looks_like_a_number_is_text(text: str) -> None:
    assert read(f"a: {text}")["a"] == text.strip("'")


def test_every_field_has_its_line() -> None:
    _, lines = read_yaml_mapping("# a question\na: 1\nb:\n  c: [x,\n   y]\n  d:\n  - e: 2\n    f: 3\n", FILE)
    assert lines == {
        ("a",): 2,
        ("b",): 3,
        ("b", "c"): 4,
        ("b", "c", 0): 4,
        ("b", "c", 1): 5,
        ("b", "d"): 6,
        ("b", "d", 0): 7,
        ("b", "d", 0, "e"): 7,
        ("b", "d", 0, "f"): 8,
    }


def test_a_path_is_written_as_a_reader_writes_it() -> None:
    assert format_path(("space", 1, "alpha")) == "space[1].alpha"
    assert format_path(("seeds", 0)) == "seeds[0]"
    assert format_path(()) == ""


def test_anchors_aliases_and_merge_keys_work() -> None:
    text = "base: &b {x: 1, y: 2}\nsame: *b\nmore:\n  <<: *b\n  y: 3\n"
    assert read(text) == {"base": {"x": 1, "y": 2}, "same": {"x": 1, "y": 2}, "more": {"x": 1, "y": 3}}


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read("\ufeffname: a") == {"name": "a"}


@pytest.mark.parametrize("text", ["", "# nothing", "- a", "text", "3", "null", "[a, b]"])
def test_only_a_mapping_is_taken(text: str) -> None:
    assert refusal(text) == f"{FILE}: not a mapping; write `key: value` lines, beginning with `name:`"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", ":3: a: given twice (first on line 1); remove one"),
        ("s:\n- x: 1\n  x: 1", ":3: s[0].x: given twice (first on line 2); remove one"),
        ("a: 1\n'a': 2", ":2: a: given twice (first on line 1); remove one"),
    ],
)
def test_a_key_given_twice_is_refused_with_both_lines(text: str, message: str) -> None:
    assert refusal(text) == f"{FILE}{message}"


@pytest.mark.parametrize("key", ["1", "null", "true", "1.5", "010", "[a, b]", "{a: b}", "? [a]\n"])
def test_a_key_that_is_not_a_name_is_refused(key: str) -> None:
    assert refusal(f"a: 1\n{key}: 2").startswith(f"{FILE}:2: ")


def test_a_key_that_is_not_a_name_is_shown_with_its_place() -> None:
    assert refusal("a:\n- {7: 2}") == f"{FILE}:2: a[0]: '7' is not a name; write keys as words, such as seeds"


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a: 1\nb: [1, 2\nc: }", 3, "expected ',' or ']'"),
        ("a:\n\t- b", 2, "cannot start any token"),
        ("a: 1\n---\nb: 2", 2, "another document"),
        ("a: *nowhere", 1, "undefined alias"),
        ("a: b: c", 1, "mapping values are not allowed"),
        ('a: "open', 1, "end of stream"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]", 2, "python/object/apply:os.system"),
        ("a: !!python/name:os.system", 1, "python/name"),
        ("a: !thing 3", 1, "!thing"),
        ("a: !<x%0Ay> 3", 1, "could not determine"),
        ("a: 1\nb: !!int many", 2, "'many' cannot be read as int"),
        ("a: !!int ''", 1, "'' cannot be read as int"),
        ("a: !!float many", 1, "cannot be read as float"),
        ("a: !!bool many", 1, "cannot be read as bool"),
        *((f"a: 1\nb: !!{tag}", 2, "2002:" + tag[:3]) for tag in ("timestamp 2001-01-01", "set {a}", "binary YQ==")),
        ("!!set {a: 1}", 1, "2002:set"),
        ("a: !!bool yes", 1, "'yes' cannot be read as bool"),
        ("a: !!int 1_000", 1, "'1_000' cannot be read as int"),
        ("a: !!int 1.5", 1, "'1.5' cannot be read as int"),
        ("a: [1,\n 99999999999999999999]", 2, "a number beyond 64 bits"),
        ("a: " + "9" * 5000, 1, "cannot be read as int"),
        ("a: 0x" + "f" * 5000, 1, "beyond 64 bits"),
        ("a:\n  <<: 3", 2, "for merging"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, line: int, word: str) -> None:
    message = refusal(text)
    assert message.startswith(f"{FILE}:{line}: not valid YAML: ")
    assert word in message
    assert message.endswith("; fix that line")


def test_control_characters_are_refused() -> None:
    assert "special characters are not allowed" in refusal("a: \x01")


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 3000, "{a: " * 3000, "a: &x [*x]", "a: &x {b: *x}", "a: &x [*x, *x]\nb: *x"]
)
def test_endless_nesting_is_refused(text: str) -> None:
    assert "nested too deeply" in refusal(text)


def bomb(depth: int) -> str:
    levels = (f"{chr(97 + i)}: &{chr(97 + i)} [{', '.join([f'*{chr(96 + i)}'] * 9)}]" for i in range(1, depth))
    return "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "\n".join(levels)


def test_aliases_that_stand_for_billions_of_values_are_refused_at_once() -> None:
    started = time.monotonic()
    assert f"more than {MAX_VALUES:,} values" in refusal(bomb(20))
    merged = "a: &a {x: 1, y: 1}\n" + "".join(
        f"{chr(97 + i)}: &{chr(97 + i)} {{<<: [{', '.join([f'*{chr(96 + i)}'] * 9)}]}}\n" for i in range(1, 20)
    )
    assert f"more than {MAX_VALUES:,} values" in refusal(merged)
    assert time.monotonic() - started < 20
    assert len(read(bomb(3))["c"]) == 9  # a few are no harm


@given(st.from_regex(r"[-+]?[0-9_:.oxbeE]{1,6}|[yYnNoOtTfF~.][a-zA-Z]{0,4}", fullmatch=True))
def test_plain_text_is_what_the_core_schema_of_yaml_1_2_makes_of_it(text: str) -> None:
    """The regular expressions of its section 10.3.2, with what each stands for."""
    number: Any
    if re.fullmatch(r"null|Null|NULL|~", text):
        expected: Any = None
    elif re.fullmatch(r"true|True|TRUE|false|False|FALSE", text):
        expected = text.lower() == "true"
    elif re.fullmatch(r"[-+]?[0-9]+", text):
        expected = int(text, 10)
    elif number := re.fullmatch(r"0o([0-7]+)|0x([0-9a-fA-F]+)", text):
        expected = int(number[1], 8) if number[1] else int(number[2], 16)
    elif re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", text):
        expected = float(text)
    elif number := re.fullmatch(r"([-+]?)\.(inf|Inf|INF)", text):
        expected = float(f"{number[1]}inf")
    else:
        assume(not re.fullmatch(r"\.(nan|NaN|NAN)|.*:", text))
        expected = text
    found = read(f"a: {text}")["a"]
    assert (type(found), found) == (type(expected), expected)


text_values = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12) | st.from_regex(
    r"[-+]?[0-9_]{0,2}\.?[0-9_]{0,2}[eE]?[-+]?[0-9]{0,2}", fullmatch=True
)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | text_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text_values, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(text_values, plain_values))
def test_what_is_written_is_read_back_as_it_was(content: dict[str, Any]) -> None:
    assert read(format_yaml(content)) == content


@given(st.text(max_size=60) | st.text("ab:-[]{}&*!<>|#,?'\" \n\t10e.", max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    found: dict[str, Any] | InputError
    try:
        found = read(text)
    except InputError as error:
        found = error
    assert isinstance(found, dict) or (str(found).startswith(f"{FILE}:") and str(found).isprintable())
