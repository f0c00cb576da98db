"""Which values of a header are kept."""

import pytest

from livestrain_daemon.intake.detectors.plain import LONGEST_TEXT, MOST_VALUES, is_plain, plain_values


@pytest.mark.parametrize(
    "value", ["", "a text, 4 Å", "x" * LONGEST_TEXT, 0, -7, (1 << 53) - 1, 1.5, 1e300, True, False]
)
def test_short_texts_and_numbers_that_are_some_are_plain(value: object) -> None:
    assert is_plain(value)


@pytest.mark.parametrize(
    "value",
    [
        "x" * (LONGEST_TEXT + 1),
        "\ud800",
        "a\0b",
        "two\nlines",
        "\x1b[2J",
        10**100,
        1 << 53,
        -(1 << 64),
        float("nan"),
        float("-inf"),
        None,
        [],
        {},
        b"bytes",
    ],
)
def test_what_cannot_be_written_anywhere_is_not(value: object) -> None:
    assert not is_plain(value)
    assert plain_values([("kept", 1), ("left out", value), ("kept, too", "text")]) == {"kept": 1, "kept, too": "text"}


@pytest.mark.parametrize("name", ["\ud800", "x" * (LONGEST_TEXT + 1), 5, None])
def test_so_it_is_with_names(name: object) -> None:
    assert plain_values([(name, 1), ("name", 2)]) == {"name": 2}


def test_so_many_are_kept_and_no_more() -> None:
    assert plain_values((f"name {number}", number) for number in range(2 * MOST_VALUES)) == {
        f"name {number}": number for number in range(MOST_VALUES)
    }
