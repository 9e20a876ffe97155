"""The drawn pad shows what is pressed and where the sticks are, and nothing of what the game does not read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from ghostpad.base.errors import FormatError, SettingsError
from ghostpad.base.pad import BUTTONS, PAD_DIM, SLOTS, STICKS, Pad, neutral, slot
from ghostpad.view.pad import PREDICTED, TRUTH, gamepad_image
from ghostpad.view.scene import HEIGHT_PX, Track, draw_scene

WIDTH_PX = 300


def picture(pad: Pad, **options: object) -> NDArray[np.int64]:
    return np.asarray(gamepad_image(pad, WIDTH_PX, **options), np.int64)  # type: ignore[arg-type]


def pressed(name: str, value: float) -> Pad:
    pad = neutral()
    pad[slot(name)] = value
    return pad


def near(image: NDArray[np.int64], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.abs(image - colour).sum(-1) < 60


@pytest.mark.parametrize("name", BUTTONS)
def test_a_pressed_button_lights_where_it_is_and_a_probability_glows(name: str) -> None:
    nothing, half, full = (picture(pressed(name, value)) for value in (0.0, 0.5, 1.0))
    change = np.abs(full - nothing).sum(-1)
    assert 5 < (change > 60).sum() < 0.05 * change.size, "a small spot changes"
    assert 0 < np.abs(half - nothing).sum() < change.sum()


def test_every_button_has_its_own_spot() -> None:
    nothing = picture(neutral())
    lit = [np.abs(picture(pressed(name, 1.0)) - nothing).sum(-1) > 120 for name in BUTTONS]
    assert np.sum(lit, axis=0).max() == 1


@pytest.mark.parametrize("name", STICKS)
@pytest.mark.parametrize("value", [-1.0, -0.5, 0.5, 1.0])
def test_a_stick_s_knob_moves_with_it(name: str, value: float) -> None:
    def knob(pad: Pad) -> NDArray[np.float64]:
        return np.argwhere(near(picture(pad, slots=[name], colour=(255, 0, 0)), (255, 0, 0))).mean(0)

    moved = knob(pressed(name, value)) - knob(neutral())
    along, across = (moved[1], moved[0]) if name.endswith("x") else (moved[0], moved[1])
    assert np.sign(along) == np.sign(value) and abs(along) > 3 and abs(across) < 0.5


@pytest.mark.parametrize("name", SLOTS)
def test_what_the_game_does_not_read_stays_faint(name: str) -> None:
    others = [other for other in SLOTS if other != name]
    assert np.array_equal(picture(pressed(name, 1.0), slots=others), picture(neutral(), slots=others))
    assert not np.array_equal(picture(neutral(), slots=others), picture(neutral())), "and looks different from what is read"


def test_unknown_is_drawn_as_nothing() -> None:
    assert np.array_equal(picture(np.full(PAD_DIM, np.nan, np.float32)), picture(neutral()))


@settings(max_examples=25, deadline=None)
@given(arrays(np.float32, PAD_DIM, elements=st.floats(-1e6, 1e6, width=32) | st.just(np.nan)))
def test_any_numbers_can_be_drawn(pad: Pad) -> None:
    assert picture(pad).shape == (190, WIDTH_PX, 3)


def test_wrong_pads_slots_and_sizes_are_refused() -> None:
    with pytest.raises(FormatError, match="25 numbers"):
        gamepad_image(np.zeros(24, np.float32), WIDTH_PX)
    with pytest.raises(SettingsError, match="did you mean 'left_x'"):
        gamepad_image(neutral(), WIDTH_PX, slots=["left_xx"])
    with pytest.raises(SettingsError, match="too small"):
        gamepad_image(neutral(), 10)


@pytest.mark.parametrize("size", [(240, 320), (160, 240), (71, 33), (1080, 1920)])
def test_a_scene_has_the_frame_at_its_left_and_an_even_size(size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    scene = draw_scene(frame, [Track("agent", neutral()[None], PREDICTED)], title="Doom")
    assert scene.dtype == np.uint8 and scene.shape[0] == HEIGHT_PX and scene.shape[1] % 2 == 0
    if HEIGHT_PX % size[0] == 0:  # pixels are repeated exactly
        factor = HEIGHT_PX // size[0]
        assert np.array_equal(scene[::factor, : size[1] * factor : factor], frame)


def test_two_pads_are_told_apart_and_so_are_their_pasts() -> None:
    frame = np.zeros((48, 64, 3), np.uint8)
    rng = np.random.default_rng(1)
    past = rng.uniform(-1, 1, (2, 30, PAD_DIM)).astype(np.float32)

    def drawn(true_past: NDArray[np.float32], past: NDArray[np.float32]) -> NDArray[np.uint8]:
        rows = (np.concatenate([rows, neutral()[None]]) for rows in (true_past, past))
        tracks = [Track(label, each, colour) for label, each, colour in zip("ab", rows, (TRUTH, PREDICTED), strict=True)]
        return draw_scene(frame, tracks, slots=["left_y"])

    plain, lines = drawn(past[0, :0], past[1, :0]), drawn(*past)
    for colour in (TRUTH, PREDICTED):
        assert near(lines.astype(np.int64), colour).sum() > near(plain.astype(np.int64), colour).sum() > 50
    gap = drawn(np.full_like(past[0], np.nan), past[1])
    assert near(gap.astype(np.int64), TRUTH).sum() < near(lines.astype(np.int64), TRUTH).sum()


def test_scenes_refuse_what_is_no_frame_or_no_pad() -> None:
    with pytest.raises(FormatError, match="uint8"):
        draw_scene(np.zeros((4, 4, 3), np.float32), [Track("agent", neutral()[None], PREDICTED)])  # type: ignore[arg-type]
    with pytest.raises(FormatError, match="25 numbers"):
        draw_scene(np.zeros((4, 4, 3), np.uint8), [Track("agent", np.zeros((1, 3), np.float32), PREDICTED)])
    with pytest.raises(SettingsError, match="one or two"):
        draw_scene(np.zeros((4, 4, 3), np.uint8), [])


def test_the_picture_is_the_same_every_time() -> None:
    first, second = (gamepad_image(pressed("south", 1.0), 200) for _ in range(2))
    assert isinstance(first, Image.Image) and first.tobytes() == second.tobytes()
