"""Transformer parts: attention against its formula, what permutes and what must not, and reading a context once."""

import math

import torch
from torch import nn

from ghostpad.nn.transformer import AdaNorm, Attention, Block, Denoiser, Extras, Mixer, Positions, TimeEmbedding


def randomise(module: nn.Module) -> None:
    """Fill every weight, since some start at zero on purpose."""
    for weight in module.parameters():
        nn.init.normal_(weight, std=0.3)


def test_attention_against_its_formula() -> None:
    torch.manual_seed(0)
    attention, tokens, context = Attention(8, 2, 5), torch.randn(3, 4, 8), torch.randn(3, 6, 5)
    keys, values = attention.to_kv(context).split(8, dim=-1)
    queries, heads = attention.to_q(tokens), []
    for part in (slice(0, 4), slice(4, 8)):
        scores = queries[..., part] @ keys[..., part].transpose(1, 2) / math.sqrt(4)
        heads.append(scores.softmax(-1) @ values[..., part])
    wanted = attention.out(torch.cat(heads, -1))
    assert torch.allclose(attention(tokens, attention.read(context)), wanted, atol=1e-6)


def test_self_attention_follows_a_permutation_of_its_tokens() -> None:
    torch.manual_seed(0)
    block, tokens, order = Block(16, 4), torch.randn(2, 5, 16), torch.tensor([3, 0, 4, 1, 2])
    assert torch.allclose(block(tokens)[:, order], block(tokens[:, order]), atol=1e-6)


def test_the_norm_starts_plain_and_is_then_modulated_per_draw() -> None:
    torch.manual_seed(0)
    norm, tokens, condition = AdaNorm(8, 6), torch.randn(2, 3, 5, 8), torch.randn(2, 3, 6)
    plain = torch.nn.functional.layer_norm(tokens, (8,))
    assert torch.allclose(norm(tokens, condition), plain)
    randomise(norm)
    scale, shift = norm.modulation(torch.nn.functional.silu(condition[1, 2])).chunk(2)
    assert torch.allclose(norm(tokens, condition)[1, 2], plain[1, 2] * (1 + scale) + shift, atol=1e-6)


def test_times_are_told_apart_at_both_ends() -> None:
    torch.manual_seed(0)
    embedding = TimeEmbedding(16)
    times = torch.tensor([0.0, 0.001, 0.5, 0.998, 0.999])
    distances = torch.cdist(embedding(times), embedding(times)) + torch.eye(5)
    assert embedding(times).shape == (5, 16) and (distances > 1e-3).all()


def test_the_denoiser_reads_a_context_once_for_all_draws() -> None:
    """Draws of one sample that share a reading come out as if each had been asked alone, with its own time."""
    torch.manual_seed(0)
    denoiser = Denoiser(16, 4, 3, 10)
    randomise(denoiser)
    context, tokens, time = torch.randn(2, 7, 10), torch.randn(2, 5, 4, 16), torch.rand(2, 5)
    together = denoiser(tokens, time, denoiser.read(context))
    for sample in range(2):
        reading = denoiser.read(context[sample : sample + 1])
        for draw in range(5):
            alone = denoiser(tokens[sample : sample + 1, draw : draw + 1], time[sample, draw], reading)
            assert torch.allclose(together[sample, draw], alone[0, 0], atol=1e-4)


def test_tokens_of_a_draw_see_each_other_but_not_the_other_draws() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(16, 4, 2, 10)
    randomise(denoiser)
    reading, tokens, time = denoiser.read(torch.randn(1, 7, 10)), torch.randn(1, 2, 4, 16), torch.rand(1, 2)
    changed = tokens.clone()
    changed[0, 0, 3, 0] += 1  # one number of it: the norms take a change of all alike away
    moved = (denoiser(changed, time, reading) - denoiser(tokens, time, reading)).abs().amax(-1)[0]
    assert (moved[0] > 1e-5).all() and (moved[1] < 1e-6).all()


def test_every_weight_learns_from_the_output() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(16, 4, 2, 10)
    randomise(denoiser)
    denoiser(torch.randn(2, 3, 4, 16), torch.rand(2, 3), denoiser.read(torch.randn(2, 7, 10))).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in denoiser.parameters())


def test_positions_are_sinusoids_and_tell_places_apart() -> None:
    table = Positions(50, 8)(torch.zeros(50, 8))[0]
    assert torch.allclose(table[3], torch.tensor([f(3 / 10000 ** (k / 4)) for k in range(4) for f in (math.sin, math.cos)]), atol=1e-6)
    torch.manual_seed(0)
    plain, placed = Block(16, 4), Block(16, 4, extras=Extras(positions=9))
    placed.load_state_dict(plain.state_dict() | {"place.table": placed.place.table})
    tokens, order = torch.randn(2, 5, 16), torch.tensor([3, 0, 4, 1, 2])
    assert torch.allclose(plain(tokens)[:, order], plain(tokens[:, order]), atol=1e-6)
    assert (placed(tokens)[:, order] - placed(tokens[:, order])).abs().max() > 1e-3


def test_masked_tokens_are_not_seen() -> None:
    torch.manual_seed(0)
    mixer, denoiser = Mixer(2, 10, 2), Denoiser(16, 4, 3, 10)
    randomise(denoiser)
    context, tokens, time = torch.randn(2, 7, 10), torch.randn(2, 1, 4, 16), torch.rand(2, 1)
    mask = torch.tensor([[False] * 3 + [True] * 4, [True] * 7])
    changed = context.clone()
    changed[0, :3] += 5
    mixed = [mixer(given, mask) for given in (context, changed)]
    assert torch.allclose(mixed[0][mask], mixed[1][mask], atol=1e-5)
    found = [denoiser(tokens, time, denoiser.read(given, mask)) for given in mixed]
    assert torch.allclose(found[0], found[1], atol=1e-5)
    assert torch.allclose(found[0][:1], denoiser(tokens[:1], time[:1], denoiser.read(mixer(context[:1, 3:]))), atol=1e-5)


def test_without_interleaving_tokens_never_see_each_other() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(16, 4, 3, 10, interleave=False)
    randomise(denoiser)
    reading, tokens = denoiser.read(torch.randn(1, 7, 10)), torch.randn(1, 1, 4, 16)
    changed = tokens.clone()
    changed[0, 0, 3, 0] += 1
    time = torch.rand(1, 1)
    moved = (denoiser(changed, time, reading) - denoiser(tokens, time, reading)).abs().amax(-1)[0, 0]
    assert None not in reading and (moved[:3] < 1e-6).all() and moved[3] > 1e-3


def test_buckets_are_whole_numbers_as_python_would_count_them() -> None:
    embedding = TimeEmbedding(16, buckets=1000)
    for steps in (1, 3, 4, 7, 8, 10, 16, 50, 64):
        for step in range(steps):
            assert embedding.ticks(torch.full((), step / steps)).item() == int(step / steps * 1000)
    assert TimeEmbedding(16).ticks(torch.tensor(0.0625)).item() == 62.5


def test_dropout_acts_in_training_only_and_none_draws_nothing() -> None:
    torch.manual_seed(0)
    tokens, dropped, plain = torch.randn(2, 5, 16), Block(16, 4, extras=Extras(dropout=0.5, final_dropout=True)), Block(16, 4)
    assert not torch.equal(dropped(tokens), dropped(tokens)) and torch.equal(dropped.eval()(tokens), dropped(tokens))
    state = torch.get_rng_state()
    plain(tokens)
    assert torch.equal(torch.get_rng_state(), state)
