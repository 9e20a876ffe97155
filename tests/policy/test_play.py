"""Playing for a score: the right return, one chunk at a time, and nothing that an episode's neighbours could change."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import Pad, neutral, slot
from ghostpad.games.spec import Frame, Game, GameSpec, Step
from ghostpad.policy.evaluate import Contestant, summarise
from ghostpad.policy.model import Policy
from ghostpad.policy.play import Episode, EpisodeResult, PolicyActor, ScriptedActor, play_episodes
from ghostpad.policy.settings import PolicySettings

STEER = slot("right_x")


class Dial(Game):
    """A dial that the stick turns; reward is minus its distance from the middle. Episodes of seed s last 10 + s % 7 frames."""

    def __init__(self) -> None:
        self.spec = GameSpec("dial", "Dial", Fraction(10), 48, 32, ("right_x",), (), "none", 2.0)
        self.is_closed = False

    def reset(self, seed: int) -> Frame:
        self._rng = np.random.default_rng(seed)
        self._at, self._left = float(self._rng.uniform(-1, 1)), 10 + seed % 7
        return self._frame()

    def step(self, pad: Pad) -> Step:
        self._at = float(np.clip(self._at + 0.2 * pad[STEER] + 0.1 * self._rng.normal(), -1, 1))
        self._left -= 1
        return Step(None if self._left == 0 else self._frame(), -abs(self._at), self._left == 0)

    def close(self) -> None:
        self.is_closed = True

    def _frame(self) -> Frame:
        frame = np.zeros((32, 48, 3), np.uint8)
        column = int((self._at + 1) / 2 * 39)
        frame[:, column : column + 8] = 255
        return frame


class Held(ScriptedActor):
    """Holds the stick at one value; it remembers what it was shown."""

    def __init__(self, value: float):
        self.pad = neutral()
        self.pad[STEER] = value

    def begin(self, episode: Episode) -> None:
        episode.memory = None

    def act(self, episodes: list[Episode]) -> list[Pad]:  # type: ignore[override]
        return [self.pad] * len(episodes)


def make_dial(name: str) -> Game:
    return Dial()


@pytest.fixture(scope="module")
def policy() -> Policy:
    torch.manual_seed(0)
    settings = PolicySettings(width_px=32, height_px=16, dim=16, heads=2, depth=2, conv_width=4, frame_offsets=(-2, -1, 0))
    policy = Policy(settings, {"slots": ["right_x"]})
    torch.nn.init.normal_(policy.to_velocity.weight, std=0.3)
    return policy.eval()


def test_results_are_those_of_playing_one_game_by_hand() -> None:
    seeds = [3, 11, 4]
    results = play_episodes("dial", Held(0.5), seeds, make=make_dial, side_by_side=2)
    for seed, result in zip(seeds, results, strict=True):
        game, return_, frames, done = Dial(), 0.0, 0, False
        game.reset(seed)
        while not done:
            _, reward, done = game.step(Held(0.5).pad)
            return_, frames = return_ + reward, frames + 1
        assert result == EpisodeResult(seed, return_, frames) and frames == 10 + seed % 7


def test_max_frames_cuts_long_episodes_and_leaves_short_ones() -> None:
    results = play_episodes("dial", Held(0), [0, 6], max_frames=12, make=make_dial)
    assert [result.frames for result in results] == [10, 12]


def test_an_episode_is_the_same_whoever_plays_beside_it(policy: Policy) -> None:
    seeds = list(range(9))
    together = play_episodes("dial", PolicyActor(policy), seeds, make=make_dial)
    for side_by_side in (1, 4):
        assert play_episodes("dial", PolicyActor(policy), seeds, make=make_dial, side_by_side=side_by_side) == together
    assert play_episodes("dial", PolicyActor(policy), seeds[::-1], make=make_dial) == together[::-1]
    small = play_episodes("dial", PolicyActor(policy, batch=2), seeds, make=make_dial)
    assert [result.return_ for result in small] == pytest.approx([result.return_ for result in together], abs=1e-3)


def test_a_large_policy_computes_no_spare_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One frame at a time, packed or not the same but for rounding, and the same bits whoever plays beside it."""
    pytest.importorskip("transformers")
    from ghostpad.lab.made_up.nitrogen_policy import random_checkpoint, write_checkpoint
    from ghostpad.nn.packed import PackedLinear
    from ghostpad.policy.nitrogen.checkpoint import import_nitrogen

    write_checkpoint(tmp_path / "ng.pt", random_checkpoint(tiny=True))
    plain = import_nitrogen(tmp_path / "ng.pt", tmp_path / "run", heads=2)
    actor, rows = Contestant(tmp_path / "run").actor("racing"), list[int]()
    assert isinstance(actor, PolicyActor)
    packed = any(isinstance(layer, PackedLinear) for layer in actor.policy.modules())
    assert packed == torch.backends.mkldnn.is_available() and not any(isinstance(layer, PackedLinear) for layer in plain.modules())
    act_from = Policy.act_from

    def spy(self: Policy, frames: torch.Tensor, noise: torch.Tensor, game: str | None = None) -> torch.Tensor:
        rows.append(len(frames))
        return act_from(self, frames, noise, game)

    monkeypatch.setattr(Policy, "act_from", spy)
    pads: dict[str, list[Pad]] = {"plain": [], "packed": []}
    for name, one in (("plain", PolicyActor(plain)), ("packed", actor)):
        play_episodes("dial", one, [3], make=make_dial, on_frame=lambda index, frame, pad, name=name: pads[name].append(pad))
    np.testing.assert_allclose(pads["packed"], pads["plain"], atol=1e-4)
    assert set(rows) == {1} and np.any(pads["plain"])
    together = play_episodes("dial", actor, [3, 4, 5], make=make_dial)
    assert together == [play_episodes("dial", actor, [seed], make=make_dial)[0] for seed in (3, 4, 5)] and set(rows) == {1}
    rows.clear()
    play_episodes("dial", PolicyActor(plain, batch=2), [3, 4, 5], make=make_dial, max_frames=1)
    assert rows == [2, 2]


def test_a_policy_looks_every_execute_rows_at_the_frames_its_window_names(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []
    act_from = Policy.act_from

    def spy(self: Policy, frames: torch.Tensor, noise: torch.Tensor, game: str | None = None) -> torch.Tensor:
        seen.append(frames[0].clone())
        return act_from(self, frames, noise)

    monkeypatch.setattr(Policy, "act_from", spy)
    shown: list[tuple[Frame, Pad]] = []
    play_episodes("dial", PolicyActor(policy), [3], make=make_dial, on_frame=lambda index, frame, pad: shown.append((frame, pad)))
    assert len(shown) == 13 and len(seen) == 4
    from ghostpad.video.decode import resize_image

    for look, frames in enumerate(seen):
        wanted = [resize_image(shown[max(0, 4 * look + offset)][0], 32, 16, True) for offset in (-2, -1, 0)]
        assert np.array_equal(frames.numpy(), np.stack(wanted))


def test_a_chunk_that_is_due_later_is_played_when_it_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row r of look n (from frame 4n on) says 4n + r / 10; two rows pass before the first is due."""
    settings = PolicySettings(width_px=32, height_px=16, dim=16, heads=2, depth=2, conv_width=4, action_shift=2)
    policy, looks = Policy(settings, {"slots": ["right_x"]}), 0

    def counted(self: Policy, frames: torch.Tensor, noise: torch.Tensor, game: str | None = None) -> torch.Tensor:
        nonlocal looks
        pads = torch.zeros(len(frames), 8, 25)
        pads[..., STEER] = (looks + torch.arange(8) / 10) / 10
        looks += 1
        return pads

    monkeypatch.setattr(Policy, "act_from", counted)
    pads: list[float] = []
    play_episodes("dial", PolicyActor(policy), [3], make=make_dial, on_frame=lambda index, frame, pad: pads.append(float(pad[STEER])))
    told = [(look + row / 10) / 10 for look in range(3) for row in range(4)]
    assert pads == pytest.approx([0, 0, *told][:13])


def test_a_policy_is_told_the_game_if_it_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = PolicySettings(width_px=32, height_px=16, dim=16, heads=2, depth=2, conv_width=4, game_rows=3)
    policy = Policy(settings, {"slots": ["right_x"], "games": ["dial"]})
    told: list[str | None] = []
    act_from = Policy.act_from

    def spy(self: Policy, frames: torch.Tensor, noise: torch.Tensor, game: str | None = None) -> torch.Tensor:
        told.append(game)
        return act_from(self, frames, noise, game)

    monkeypatch.setattr(Policy, "act_from", spy)
    for game in ("dial", "another"):
        play_episodes("dial", PolicyActor(policy, game), [3], max_frames=1, make=make_dial)
    assert told == ["dial", None]


def test_on_frame_sees_each_frame_and_its_pad(policy: Policy) -> None:
    told: dict[int, list[tuple[Frame, Pad]]] = {0: [], 1: []}
    play_episodes("dial", PolicyActor(policy), [5, 2], make=make_dial, on_frame=lambda index, frame, pad: told[index].append((frame, pad)))
    for index, seed in enumerate([5, 2]):
        game = Dial()
        frame: Frame | None = game.reset(seed)
        for shown, pad in told[index]:
            assert frame is not None and np.array_equal(frame, shown) and pad.shape == (25,)
            frame = game.step(pad).frame
        assert frame is None, "the last pad told must be the one that ended the episode"


def test_games_are_closed_even_when_playing_fails() -> None:
    games: list[Dial] = []

    class Broken(Held):
        def act(self, episodes: list[Episode]) -> list[Pad]:  # type: ignore[override]
            raise RuntimeError("the actor broke")

    def make(name: str) -> Game:
        games.append(Dial())
        return games[-1]

    with pytest.raises(RuntimeError, match="the actor broke"):
        play_episodes("dial", Broken(0), [1, 2], make=make)
    assert len(games) == 2 and all(game.is_closed for game in games)


def test_mistakes_are_named() -> None:
    with pytest.raises(SettingsError, match="no seeds"):
        play_episodes("dial", Held(0), [], make=make_dial)
    with pytest.raises(SettingsError, match="did you mean 'racing'"):
        play_episodes("racin", Held(0), [1])
    with pytest.raises(SettingsError, match="did you mean 'expert'"):
        ScriptedActor("doom", "exprt")
    with pytest.raises(SettingsError, match="no episode"):
        summarise([])


def test_scores_against_numpy() -> None:
    returns = [1.0, 5.0, 2.0, 8.0]
    score = summarise([EpisodeResult(seed, value, 10) for seed, value in enumerate(returns)])
    assert score["mean"] == 4 and score["n"] == 4 and score["returns"] == returns
    assert score["sem"] == pytest.approx(np.std(returns, ddof=1) / 2)
    single = summarise([EpisodeResult(0, 3.0, 10)])
    assert single["sem"] is None


def test_a_real_game_and_its_scripted_players() -> None:
    for player in ("random", "novice", "expert"):
        first, again = (play_episodes("racing", ScriptedActor("racing", player), [1, 2], max_frames=25) for _ in range(2))
        assert [result.frames for result in first] == [25, 25] and first == again


def test_a_policy_plays_a_real_game(policy: Policy) -> None:
    torch.manual_seed(0)
    driver = Policy(PolicySettings(), {"slots": ["left_x"]})
    results = play_episodes("racing", PolicyActor(driver), [1, 2, 3], max_frames=9)
    assert [result.frames for result in results] == [9, 9, 9]
    assert results == play_episodes("racing", PolicyActor(driver), [1, 2, 3], max_frames=9)
