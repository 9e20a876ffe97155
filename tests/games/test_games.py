"""What every game of the folder promises, and what its sticks do."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ghostpad.base.errors import MissingError, SettingsError
from ghostpad.base.pad import BUTTONS, PAD_DIM, SLOTS, Pad, neutral, pack, slot
from ghostpad.games.doom import Doom
from ghostpad.games.racing import Racing
from ghostpad.games.spec import Frame, Game, Region, game_names, game_spec, make_game, make_player, player_names

FRAMES = 12


@pytest.fixture(scope="module", params=game_names())
def game(request: pytest.FixtureRequest) -> Iterator[Game]:
    with make_game(request.param) as started:
        yield started


@pytest.fixture
def doom() -> Iterator[Doom]:
    with make_game("doom-supreme") as started:
        assert isinstance(started, Doom)
        yield started


@pytest.fixture
def racing() -> Iterator[Racing]:
    with make_game("racing-pedals") as started:
        assert isinstance(started, Racing)
        yield started


def random_pads(slots: tuple[str, ...], seed: int = 0) -> list[Pad]:
    rng = np.random.default_rng(seed)
    low = [0.0 if name in BUTTONS else -1.0 for name in slots]
    return [pack(dict(zip(slots, rng.uniform(low, 1), strict=True)))[0] for _ in range(FRAMES)]


def watch(game: Game, seed: int, pads: list[Pad]) -> list[Frame]:
    """Frames of an episode; none of the short ones here is over before its pads are."""
    frames = [game.reset(seed)]
    for pad in pads:
        shown = game.step(pad).frame
        assert shown is not None
        frames.append(shown)
    return frames


def same(first: list[Frame], second: list[Frame]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_spec_is_legal(game: Game) -> None:
    spec = game.spec
    assert spec == game_spec(spec.name)
    assert spec.slots and set(spec.slots) <= set(SLOTS)
    assert spec.known.shape == (PAD_DIM,) and [SLOTS[index] for index in np.flatnonzero(spec.known)] == sorted(spec.slots, key=slot)
    assert spec.fps > 0 and spec.source_max_s > 0 and spec.licence and spec.title
    assert spec.width_px % 2 == spec.height_px % 2 == 0  # H.264 asks for it


def test_frames_have_the_shape_of_the_spec_and_are_nobody_elses(game: Game) -> None:
    frames = watch(game, 1, random_pads(game.spec.slots))
    for frame in frames:
        assert frame.shape == (game.spec.height_px, game.spec.width_px, 3) and frame.dtype == np.uint8
    copy = [frame.copy() for frame in frames]
    watch(game, 2, random_pads(game.spec.slots, seed=1))
    assert same(frames, copy)


def test_seed_and_pads_decide_the_frames_whatever_was_played_before(game: Game) -> None:
    pads = random_pads(game.spec.slots)
    with make_game(game.spec.name) as fresh:
        first = watch(fresh, 7, pads)
    watch(game, 8, random_pads(game.spec.slots, seed=1))
    assert same(first, watch(game, 7, pads))
    assert not same(first, watch(game, 8, pads))
    assert not same(first[1:], watch(game, 7, random_pads(game.spec.slots, seed=2))[1:])


def test_slots_that_the_game_cannot_read_do_nothing(game: Game) -> None:
    pads = random_pads(game.spec.slots)
    noisy = [np.where(game.spec.known, pad, 1).astype(np.float32) for pad in pads]
    assert same(watch(game, 3, pads), watch(game, 3, noisy))


def test_hidden_regions_are_black_in_every_frame(game: Game) -> None:
    spec, box = game.spec, Region(5, 90, 40, 30)
    game.spec = replace(spec, hide=(*spec.hide, box))
    try:
        frames = watch(game, 4, random_pads(spec.slots))
    finally:
        game.spec = spec
    open_frames = watch(game, 4, random_pads(spec.slots))
    hidden = np.zeros(frames[0].shape[:2], bool)
    for x, y, width, height in (*spec.hide, box):
        hidden[y : y + height, x : x + width] = True
    for frame, whole in zip(frames, open_frames, strict=True):
        assert not frame[hidden].any() and whole[90:120, 5:45].any()
        assert np.array_equal(frame[~hidden], whole[~hidden])


def test_an_episode_ends_within_the_time_of_the_spec(game: Game) -> None:
    game.reset(5)
    steps = next(count for count in range(1, 5000) if game.step(neutral()).done)
    assert steps / game.spec.fps <= game.spec.source_max_s


def test_a_closed_game_can_be_reset() -> None:
    game = make_game("doom")
    pads = random_pads(game.spec.slots)
    first = watch(game, 1, pads)
    game.close()
    game.close()
    assert same(first, watch(game, 1, pads))
    game.close()


def test_right_stick_right_moves_doom_s_picture_left(doom: Doom) -> None:
    before = doom.reset(2).mean((0, 2))
    after = doom.step(pack({"right_x": 1.0})[0]).frame
    assert after is not None
    # 7 degrees of a 90 degree view are about 20 of 320 columns; both readings compare the same number of columns.
    left = min(np.abs(before[shift:] - after.mean((0, 2))[:-shift]).mean() for shift in range(10, 30))
    right = min(np.abs(before[:-shift] - after.mean((0, 2))[shift:]).mean() for shift in range(10, 30))
    assert left < 0.7 * right


def test_left_stick_up_walks_forward_in_doom(doom: Doom) -> None:
    def distance_ahead(left_y: float) -> float:
        watch(doom, 2, [pack({"left_y": left_y})[0]] * 5)
        return float(doom.state.depth_buffer[110:130, 150:170].mean())

    assert distance_ahead(-1) < distance_ahead(0) < distance_ahead(1)


def test_the_end_of_doom_is_not_shown_and_costs(doom: Doom) -> None:
    doom.reset(2)
    steps = [doom.step(neutral())]
    while not steps[-1].done:
        steps.append(doom.step(neutral()))
    assert steps[-1].frame is None and steps[-1].reward < 0
    assert all(step.frame is not None and step.reward > 0 for step in steps[:-1])


def press_frames(frames: int, *held: int) -> list[Frame]:
    """Frames of doom-defend in which the trigger is down in the rows `held`, and the stick is left alone."""
    with make_game("doom-defend") as game:
        return watch(game, 5, [pack({"right_trigger": float(row in held)})[0] for row in range(frames)])


def test_a_press_flashes_three_frames_later_and_a_second_one_within_the_shot_does_nothing() -> None:
    idle, shot = press_frames(12), press_frames(12, 0)
    assert same(idle[:3], shot[:3]) and all(not np.array_equal(a, b) for a, b in zip(idle[3:10], shot[3:10], strict=True))
    assert same(shot, press_frames(12, 0, 1, 2, 3, 4, 5, 6)), "how long a press lasts within a shot cannot be seen"
    assert not same(shot, press_frames(12, 0, 7)), "held when the shot is done, it shoots again"
    assert same(shot[:12], press_frames(12, 0, 9)[:12]) and not same(shot, press_frames(12, 0, 9))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_doom_s_engine_ends_with_a_killed_process() -> None:
    """Left to itself it would wait for orders for ever, and keep its memory."""
    play = "from ghostpad.games.spec import make_game; game = make_game('doom'); game.reset(0); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", play], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        tasks = Path(f"/proc/{process.pid}/task")
        (engine,) = (pid for task in tasks.iterdir() for pid in (task / "children").read_text().split())
        assert "vizdoom" in Path(f"/proc/{engine}/cmdline").read_text()
        process.kill()
    for _ in range(200):
        if not Path(f"/proc/{engine}/cmdline").exists() or not Path(f"/proc/{engine}/cmdline").read_text():  # a zombie has no words
            return
        time.sleep(0.05)
    raise AssertionError(f"the engine (process {engine}) outlived its process")


def test_half_a_trigger_is_where_doom_s_fire_begins() -> None:
    with make_game("doom-defend") as game:
        light, firm, full = (watch(game, 5, [pack({"right_trigger": depth})[0]] * 5) for depth in (0.49, 0.5, 1.0))
    assert same(firm, full) and not same(light, full)


def test_doom_s_bullets_do_not_run_out() -> None:
    with make_game("doom-defend") as game:
        assert isinstance(game, Doom)
        game.reset(6)
        bullets = game.state.game_variables[0]
        for _ in range(50):
            game.step(pack({"right_trigger": 1.0})[0])
        assert game.state.game_variables[0] == bullets > 0


def test_doom_leaves_nothing_where_it_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with make_game("doom") as game:
        game.reset(0)
    assert os.listdir(tmp_path) == [] and Path.cwd() == tmp_path


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_left_stick_steers_the_car_to_its_side(racing: Racing, side: float) -> None:
    watch(racing, 3, [pack({"right_trigger": 1.0})[0]] * 10)
    assert abs(racing.road_angle(4)) < 0.2
    for _ in range(6):
        racing.step(pack({"left_x": side})[0])
    assert side * racing.road_angle(4) < -0.1  # the road is now on the other side


def test_triggers_are_gas_and_brake(racing: Racing) -> None:
    watch(racing, 3, [neutral()] * 10)
    assert racing.speed < 1
    watch(racing, 3, [pack({"right_trigger": 1.0})[0]] * 20)
    fast = racing.speed
    assert fast > 10
    for _ in range(10):
        racing.step(pack({"left_trigger": 1.0})[0])
    assert racing.speed < 0.8 * fast


def test_recoloured_racing_takes_its_colours_from_the_seed() -> None:
    with make_game("racing") as plain, make_game("racing-recoloured") as coloured:
        grass = (20, 20)
        assert np.array_equal(plain.reset(1)[grass], plain.reset(2)[grass])
        assert not np.array_equal(coloured.reset(1)[grass], coloured.reset(2)[grass])


def test_mistyped_names_get_the_nearest() -> None:
    with pytest.raises(SettingsError, match="no game called 'dom': did you mean 'doom'"):
        make_game("dom")
    with pytest.raises(SettingsError, match="did you mean 'racing'"):
        player_names("racin")
    with pytest.raises(SettingsError, match="no player of doom called 'novise': did you mean 'novice'"):
        make_player("doom", "novise")


@pytest.mark.parametrize(("name", "engine"), [("doom", "vizdoom"), ("racing", "Box2D")])
def test_without_the_extra_the_message_says_what_to_install(name: str, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(MissingError, match=r'pip install -e "\.\[games\]"'):
        make_game(name).reset(0)
