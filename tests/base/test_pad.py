"""The pad as a vector: every value in its slot, unknown stays unknown, and every mistake is named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostpad.base import pad
from ghostpad.base.errors import FormatError, SettingsError

BUTTON_VALUES = {name: st.booleans() | st.none() for name in pad.BUTTONS}
STICK_VALUES = {name: st.floats(-1, 1, width=32) | st.none() for name in pad.STICKS}


def test_the_layout_is_nitrogens() -> None:
    assert pad.PAD_DIM == 25 and len(set(pad.SLOTS)) == 25
    assert [pad.slot(name) for name in ("back", "south", "west", "left_x", "left_y", "right_x", "right_y")] == [0, 18, 20, 21, 22, 23, 24]
    assert set(pad.BUTTONS) - set(pad.DATASET_BUTTONS) == {"right_bottom", "right_left", "right_right", "right_up"}
    assert set(pad.READABLE) == set(pad.SLOTS)


@given(st.fixed_dictionaries({}, optional=BUTTON_VALUES | STICK_VALUES))
def test_every_slot_holds_its_value_and_the_mask_says_which_are_known(values: dict[str, float | bool | None]) -> None:
    packed, known = pad.pack(values)
    assert packed.shape == known.shape == (25,) and packed.dtype == np.float32 and known.dtype == np.bool_
    found = {name: float(packed[pad.slot(name)]) if known[pad.slot(name)] else None for name in pad.SLOTS}
    assert found == {name: values.get(name) for name in pad.SLOTS}


@given(st.fixed_dictionaries({}, optional=BUTTON_VALUES | STICK_VALUES))
def test_unpack_gives_back_what_was_packed(values: dict[str, float | bool | None]) -> None:
    packed, known = pad.pack(values)
    assert packed.shape == known.shape == (25,) and packed.dtype == np.float32 and known.dtype == np.bool_
    assert pad.unpack(packed, known) == {name: values.get(name) for name in pad.SLOTS}


def test_unknown_is_neither_released_nor_pressed() -> None:
    packed, known = pad.pack({"south": False, "east": None})
    assert packed[pad.slot("south")] == packed[pad.slot("east")] == 0
    assert known[pad.slot("south")] and not known[pad.slot("east")] and not known[pad.slot("north")]


def test_probabilities_become_buttons_at_the_threshold() -> None:
    packed, _ = pad.pack({"south": 0.5, "east": 0.49})
    assert pad.unpack(packed)["south"] is True and pad.unpack(packed)["east"] is False
    assert pad.unpack(packed, threshold=0.4)["east"] is True


def test_a_slot_is_in_use_from_the_threshold_on_and_outside_the_dead_zone() -> None:
    packed, _ = pad.pack({"south": 0.5, "east": 0.49, "left_x": -0.1, "right_y": 0.11})
    assert [name for name, used in zip(pad.SLOTS, pad.in_use(packed), strict=True) if used] == ["south", "right_y"]


def test_every_problem_is_reported_at_once_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError) as caught:
        pad.pack({"sotuh": True, "left_x": -1.5, "east": -0.1, "right_y": float("nan"), "north": float("inf"), "west": True})
    assert len(caught.value.problems) == 5
    assert "'sotuh': did you mean 'south'?" in str(caught.value)
    assert "left_x is -1.5: it must lie in -1...1" in str(caught.value)
    assert "east is -0.1: it must lie in 0...1" in str(caught.value)


def test_a_mistyped_slot_gets_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'left_trigger'"):
        pad.slot("left_triger")


@pytest.mark.parametrize("shape", [(24,), (25, 1), (), (3, 26)])
def test_arrays_of_another_width_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FormatError, match="a pad has 25 numbers"):
        pad.check_shape(np.zeros(shape, np.float32))


@pytest.mark.parametrize("layout", ["nitrogen-25/2", "", None])
def test_another_layout_is_refused_and_the_file_is_named(layout: str | None) -> None:
    pad.check_layout(pad.LAYOUT, "labels.parquet")
    with pytest.raises(FormatError, match="labels.parquet"):
        pad.check_layout(layout, "labels.parquet")


def test_pads_from_nitrogens_space() -> None:
    values = np.full((2, 25), 0.5, np.float32)
    values[0, pad.slot("south")], values[0, pad.slot("left_x")], values[1, pad.slot("right_y")] = 0.51, 1.2, 0.25
    pads = pad.from_unit(values)
    assert pads[0, pad.slot("south")] == 1 and pads[1, pad.slot("south")] == 0, "a button is pressed above 0.5, not at it"
    assert pads[0, pad.slot("left_x")] == 1 and pads[1, pad.slot("right_y")] == -0.5 and pads[1, pad.slot("left_x")] == 0
    assert values[0, pad.slot("left_x")] == np.float32(1.2), "what was given stays"
    with pytest.raises(FormatError, match="a pad has 25 numbers"):
        pad.from_unit(np.zeros((25, 2)))
