"""The IDM: what a row depends on, reading in pieces, games told apart, and that it learns something real."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ghostpad.base.errors import MediaError, SettingsError
from ghostpad.base.files import read_json, write_json
from ghostpad.base.pad import PAD_DIM, SLOTS, STICKS, slot
from ghostpad.base.records import pads_of
from ghostpad.corpus.folder import Corpus, truth_table
from ghostpad.feed.batch import Batch, WindowRef
from ghostpad.feed.footage import Footage
from ghostpad.feed.gather import Gathered
from ghostpad.feed.settings import DataSettings
from ghostpad.idm import load
from ghostpad.idm.model import Idm, events_of
from ghostpad.idm.predict import predict_rows
from ghostpad.idm.settings import IdmSettings
from ghostpad.idm.stream import label_video
from ghostpad.label.label import label_corpus
from ghostpad.train.checkpoint import load_model
from ghostpad.train.loop import Training, train
from ghostpad.train.settings import TrainSettings

TINY = {
    "width_px": 32,
    "height_px": 32,
    "dim": 8,
    "heads": 2,
    "attention_rows": 3,
    "convolution_rows": 2,
    "search_x_px": 2,
    "search_y_px": 1,
}
PAD_SLOTS = ["dpad_left", "dpad_right", "south", "left_x", "right_x"]
FRAMES = torch.randint(0, 256, (40, 32, 32, 1), generator=torch.Generator().manual_seed(5), dtype=torch.uint8)


def tiny(slots: list[str] = PAD_SLOTS, by_game: dict[str, list[str]] | None = None, **changes: Any) -> Idm:
    torch.manual_seed(0)
    return Idm(IdmSettings(**(TINY | changes)), {"slots": slots, "by_game": by_game or {}}).eval()


WINDOW = tiny(layers=2)
WHOLE = WINDOW.predict(FRAMES)


@hypothesis_settings(max_examples=25, deadline=None)
@given(st.integers(1, 45), st.integers(2, 40))
def test_a_video_read_in_pieces_gives_the_rows_of_the_whole(piece_rows: int, frames: int) -> None:
    pads, spreads = WHOLE if frames == 40 else WINDOW.predict(FRAMES[:frames])
    pieces = list(predict_rows(WINDOW, FRAMES[:frames].numpy(), piece_rows))
    torch.testing.assert_close(torch.from_numpy(np.concatenate([piece[0] for piece in pieces])), pads, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.from_numpy(np.concatenate([piece[1] for piece in pieces])), spreads, atol=1e-5, rtol=0)


def changed_rows(model: Idm, frame: int) -> list[int]:
    """The rows that change when one frame does."""
    other = FRAMES.clone()
    other[frame] = 255 - other[frame].flip(0)
    return torch.nonzero((model.predict(FRAMES)[0] - model.predict(other)[0]).abs().amax(1) > 1e-7).flatten().tolist()


def test_a_row_of_the_pair_variant_depends_on_its_two_frames_alone() -> None:
    model = tiny(variant="pair")
    assert model.reach == 0 and changed_rows(model, 20) == [19, 20]


def test_a_row_of_the_frame_variant_depends_on_its_own_frame_alone() -> None:
    model = tiny(variant="frame")
    assert model.reach == 0 and model.motion is None and changed_rows(model, 20) == [20]


@pytest.mark.parametrize("off", ["motion", "appearance"])
def test_motion_and_pictures_each_do_alone(off: str) -> None:
    model = tiny(variant="pair", **{off: False})
    assert (model.motion is None, model.picture is None) == (off == "motion", off == "appearance")
    assert changed_rows(model, 20) == [19, 20] and torch.isfinite(model.loss(batch_of(2), torch.Generator().manual_seed(0))[0])


def test_what_only_looks_at_motion_does_not_see_light() -> None:
    darker = FRAMES // 2
    model = tiny(appearance=False)
    torch.testing.assert_close(model.predict(darker + 60)[0], model.predict(darker)[0], atol=1e-4, rtol=0)


def test_an_idm_that_sees_nothing_is_refused() -> None:
    for blind in ({"motion": False}, {"variant": "frame"}):
        with pytest.raises(SettingsError, match="sees nothing: turn one of them on"):
            tiny(appearance=False, **blind)


def test_a_row_of_the_window_variant_depends_on_its_reach() -> None:
    assert WINDOW.reach == 2 + 2 * 3
    rows = changed_rows(WINDOW, 20)
    assert min(rows) >= 19 - WINDOW.reach and max(rows) <= 20 + WINDOW.reach and len(rows) > 2


def test_beliefs_lie_in_their_ranges_and_slots_without_a_head_are_zero() -> None:
    pads, spreads = WHOLE
    others = [index for index, name in enumerate(SLOTS) if name not in PAD_SLOTS]
    assert pads[:, : -len(STICKS)].min() >= 0 and pads.max() <= 1 and pads.min() >= -1 and not pads[:, others].any()
    assert (spreads[:, [0, 2]] > 0).all() and not spreads[:, [1, 3]].any()


@pytest.mark.parametrize("slots", [["south"], ["right_x"]])
def test_an_idm_of_buttons_alone_or_sticks_alone_works(slots: list[str]) -> None:
    model = tiny(slots)
    pads, _ = model.predict(FRAMES[:10])
    loss, logs = model.loss(batch_of(2), torch.Generator().manual_seed(0))
    assert torch.isfinite(loss) and logs and pads[:, slot(slots[0])].any()


def test_an_idm_without_slots_is_refused() -> None:
    with pytest.raises(SettingsError, match="at least one known pad slot"):
        tiny([])


# ---- games ------------------------------------------------------------------------------------------------------

GAMES = {"a": ["south", "right_x"], "b": ["dpad_left"]}


@pytest.fixture
def bound() -> Idm:
    """An IDM that knows two games apart; what is peculiar to each is set by hand."""
    model = tiny(by_game=GAMES, binding="game")
    assert model.binding is not None
    torch.nn.init.normal_(model.binding.weight)
    return model


def read(model: Idm, game: str | None, piece_rows: int = 64) -> np.ndarray:
    return np.concatenate([pads for pads, _ in predict_rows(model, FRAMES.numpy(), piece_rows, game)])


def test_known_games_differ_and_an_unknown_one_is_no_game(bound: Idm) -> None:
    a, b, unknown, none = (read(bound, game) for game in ("a", "b", "tetris", None))
    np.testing.assert_array_equal(unknown, none)
    assert all(np.abs(one - other).max() > 1e-3 for one, other in ((a, b), (a, none), (b, none)))
    without = tiny(by_game=GAMES)
    np.testing.assert_array_equal(read(without, "a"), read(without, None))


@pytest.mark.parametrize("piece_rows", [1, 7, 40])
def test_the_cut_into_pieces_does_not_show_with_a_game_either(bound: Idm, piece_rows: int) -> None:
    with torch.no_grad():
        whole = bound.pads_of(bound.relate(bound.encode(FRAMES[None]), bound.game_rows(["b"])))[0][0]
    np.testing.assert_allclose(read(bound, "b", piece_rows), whole.numpy(), atol=1e-5)


def test_games_whose_controls_differ_are_learned_apart_and_only_if_they_are_told() -> None:
    """The same pictures, the stick to the right in one game and to the left in the other."""

    def learned(binding: str) -> tuple[float, float]:
        model = tiny(["right_x"], {"a": ["right_x"], "b": ["right_x"]}, binding=binding, binding_dropout=0.0, dropout=0.0, mirror=False)
        pads = torch.zeros(2, 8, PAD_DIM)
        pads[0, :, slot("right_x")], pads[1, :, slot("right_x")] = 0.8, -0.8
        batch = Batch(FRAMES[:9].expand(2, -1, -1, -1, -1), pads, torch.ones_like(pads), (WindowRef("v", 0, "a"), WindowRef("w", 0, "b")))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for step in range(30):
            optimizer.zero_grad()
            model.loss(batch, torch.Generator().manual_seed(step))[0].backward()
            optimizer.step()
        return tuple(float(read(model, game)[:8, slot("right_x")].mean()) for game in "ab")  # type: ignore[return-value]

    a, b = learned("game")
    assert a > 0.4 and b < -0.4
    a, b = learned("none")
    assert a == b


def test_a_game_is_labelled_with_the_slots_it_reads(small: Any, idm_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(idm_run, tmp_path / "run")
    facts = read_json(run / "run.json")["facts"]
    write_json(run / "run.json", read_json(run / "run.json") | {"facts": facts | {"by_game": {"doom": ["right_x"]}}})
    corpus = Corpus.open(shutil.copytree(small.wild, tmp_path / "wild"))
    (id,) = corpus.ok_ids()

    def known(table: Any) -> list[str]:
        return [SLOTS[index] for index in np.flatnonzero(pads_of(table)[1].any(0))]

    model = load(run)
    tables = {game: model.label(corpus.video_path(id), game=game) for game in ("doom", "tetris", None)}
    assert known(tables["doom"]) == ["right_x"] and known(tables["tetris"]) == known(tables[None]) == facts["slots"] != ["right_x"]
    source = label_corpus(corpus, run).source
    assert corpus.actions(source, id).equals(tables["doom"])  # the table of videos says which game it is


# ---- learning ---------------------------------------------------------------------------------------------------


def batch_of(count: int) -> Batch:
    rng = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (count, 9, 32, 32, 1), generator=rng, dtype=torch.uint8)
    pads = torch.rand(count, 8, PAD_DIM, generator=rng) * 2 - 1
    pads[..., : -len(STICKS)] = (pads[..., : -len(STICKS)] > 0).float()
    return Batch(frames, pads, torch.rand(count, 8, PAD_DIM, generator=rng), tuple(WindowRef("a", row) for row in range(count)))


def test_what_weighs_nothing_teaches_nothing() -> None:
    model, batch = tiny(mirror=False), batch_of(2)
    batch.weight[:, 4:] = 0
    other = Batch(batch.frames, batch.pads.clone(), batch.weight, batch.refs)
    other.pads[:, 4:] *= -1
    losses = [model.loss(each, torch.Generator().manual_seed(0))[0] for each in (batch, other)]
    assert torch.equal(*losses)
    empty = Batch(batch.frames, batch.pads, torch.zeros_like(batch.weight), batch.refs)
    assert model.loss(empty, torch.Generator().manual_seed(0))[0].item() == 0


@hypothesis_settings(max_examples=50)
@given(
    st.lists(
        st.lists(st.sampled_from([(0, 0), (1, 0), (0, 1), (1, 1), (0, 0.4), (1, 0.4)]), min_size=3, max_size=3), min_size=1, max_size=8
    )
)
def test_events_are_where_a_known_row_differs_from_the_known_row_before(rows: list[list[tuple[int, float]]]) -> None:
    held, weight = (torch.tensor([[[cell[part] for cell in row] for row in rows]], dtype=torch.float32) for part in (0, 1))
    events, known = events_of(held, weight)
    assert events.shape == known.shape == (1, len(rows), 2, 3)
    for row in range(len(rows)):
        for button in range(3):
            now, trust = rows[row][button]
            before, trust_before = rows[row - 1][button] if row else (now, 0)
            assert events[0, row, :, button].tolist() == [float(now > before), float(now < before)]
            assert known[0, row, :, button].tolist() == pytest.approx([min(trust, trust_before)] * 2)


def test_siglip_trains_a_step_and_comes_back_without_its_folder(siglip_folder: Path, tmp_path: Path) -> None:
    weights = shutil.copytree(siglip_folder, tmp_path / "weights")
    settings = IdmSettings(**(TINY | {"encoder": "siglip", "siglip": str(weights), "clip_rows": 4}))
    pads = np.zeros((39, PAD_DIM), np.float32)
    footage = Footage("v", np.arange(40) / 10, FRAMES.numpy(), pads, np.ones_like(pads))
    plan = TrainSettings(steps=1, threads=1, warmup_steps=0)
    trained = train(
        Training(Idm, settings, {"slots": ["right_x"]}, Gathered([footage]), DataSettings(batch_size=2), plan, tmp_path / "run")
    )
    shutil.rmtree(weights)
    again = load_model(tmp_path / "run", Idm)
    assert isinstance(trained, Idm) and isinstance(again, Idm) and again.facts["siglip_config"]["hidden_size"] == 16
    assert torch.equal(again.predict(FRAMES[:6])[0], trained.predict(FRAMES[:6])[0])


def test_a_little_training_beats_the_prior_on_another_player(small: Any, idm_run: Path) -> None:
    model = load(idm_run)
    corpus = Corpus.open(small.wild)
    (id,) = corpus.ok_ids()
    truth = truth_table(small.truth, id)
    right_x = slot("right_x")
    predicted, true = (pads_of(table)[0][:, right_x] for table in (model.label(corpus.video_path(id)), truth))
    prior = np.mean(
        np.concatenate(
            [pads_of(Corpus.open(small.novice).actions("recorded", name))[0][:, right_x] for name in Corpus.open(small.novice).ok_ids()]
        )
    )

    def r2(values: Any) -> float:
        return float(1 - np.mean((values - true) ** 2) / true.var())

    assert r2(prior) <= 0 and r2(predicted) > 0.3


# ---- labels -----------------------------------------------------------------------------------------------------


def test_slots_the_idm_does_not_know_are_null_in_its_labels(small: Any, idm_run: Path) -> None:
    model = load(idm_run)
    corpus = Corpus.open(small.wild)
    table = model.label(corpus.video_path(corpus.ok_ids()[0]))
    assert table.num_rows == 174 and 0 < len(model.facts["slots"]) < PAD_DIM
    for name in SLOTS:
        assert table.column(name).null_count == (0 if name in model.facts["slots"] else table.num_rows), name
    for name in STICKS:
        assert table.column(f"{name}_spread").null_count == (0 if name in model.facts["slots"] else table.num_rows), name
    confidence = table.column("confidence").to_numpy()
    assert confidence.min() >= 0 and confidence.max() <= 1 and confidence.std() > 0


def test_labels_do_not_depend_on_the_pieces(small: Any, idm_run: Path) -> None:
    model = load(idm_run)
    path = next((small.wild / "videos").iterdir())
    one, other = (label_video(model, path, piece_rows=rows) for rows in (7, 1000))
    np.testing.assert_array_equal(one.column("pts_s"), other.column("pts_s"))
    np.testing.assert_allclose(pads_of(one)[0], pads_of(other)[0], atol=1e-5)


def test_a_video_that_breaks_off_is_not_labelled(small: Any, tmp_path: Path) -> None:
    path = Path(shutil.copy(next((small.wild / "videos").iterdir()), tmp_path / "cut.mp4"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match=r"cut\.mp4"):
        tiny(width_px=64, height_px=48).label(path)
