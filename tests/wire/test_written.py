"""Shapes, rates and endpoints as people write them."""

import pytest

from livestrain_wire.written import connectable, rate_of, sides_of


@pytest.mark.parametrize(
    ("text", "sides"), [("64x48", (64, 48)), ("64X48", (64, 48)), ("128", (128, 128)), ("65536x1", (1 << 16, 1))]
)
def test_a_shape_is_two_sides_or_one(text: str, sides: tuple[int, int]) -> None:
    assert sides_of(text) == sides


@pytest.mark.parametrize(
    "text", ["", "x", "0x4", "4x0", "65537", "4x", "x4", "-4x4", "4.0x4", "4x4x4", "٤x٤", "9" * 40]
)
def test_what_is_no_shape_is_refused_with_what_was_expected_and_found(text: str) -> None:
    with pytest.raises(ValueError, match="expected ROWSxCOLUMNS of 1 to 65536 each, found"):
        sides_of(text)


def test_a_shape_of_too_many_in_all_is_refused_with_the_numbers() -> None:
    assert sides_of("10x10", most=100) == (10, 10)
    with pytest.raises(ValueError, match="expected at most 100 in all, found 110"):
        sides_of("10x11", most=100)


@pytest.mark.parametrize(("text", "rate"), [("max", None), ("500", 500.0), ("0.001", 0.001)])
def test_a_rate_is_frames_per_second_or_the_largest(text: str, rate: float | None) -> None:
    assert rate_of(text) == rate


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fast", ""])
def test_what_is_no_rate_is_refused_with_what_was_expected_and_found(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected frames per second of at least 0.001, or max, found"):
        rate_of(text)


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "127.0.0.1"])  # noqa: S104 - nothing is bound
def test_every_interface_is_reached_over_loopback(host: str) -> None:
    assert connectable(f"tcp://{host}:5551") == "tcp://127.0.0.1:5551"
    assert connectable("tcp://example.org:5551") == "tcp://example.org:5551"
