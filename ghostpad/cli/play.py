"""`ghostpad play`: watch an agent or a scripted player. The frames of a clip are held in memory: 80 MB for 20 s of Doom."""

from pathlib import Path

from ghostpad.base.errors import SettingsError
from ghostpad.base.pad import Pad
from ghostpad.cli.arguments import GameName, below_one
from ghostpad.games.spec import Frame, game_spec


def play(
    game: GameName,
    *,
    policy: Path | None = None,
    player: str | None = None,
    episodes: int = 1,
    seed: int = 0,
    video: Path | None = None,
    seconds: float = 20.0,
) -> None:
    """Let a trained policy or a scripted player play, and print each episode's return.

    Writes nothing but the clip --video. The episodes are those that 'ghostpad eval policy' plays with this seed among its --seeds.

    Args:
        policy: The run folder of a trained policy.
        player: A scripted player instead: random, novice or expert.
        episodes: Episodes to play.
        seed: Seed of the episodes; recordings never use it.
        video: The mp4 to write: the first episode, with the agent's pad drawn beside it.
        seconds: Longest clip, seconds.
    """
    problems = below_one(episodes=episodes)
    if (policy is None) == (player is None):
        problems.append("say who plays: either --policy RUN or --player NAME")
    if not 0 < seconds < float("inf"):
        problems.append(f"seconds is {seconds:g}: it must be a number above 0")
    if problems:
        raise SettingsError(problems)
    spec = game_spec(game)
    from ghostpad.policy.evaluate import Contestant, evaluation_seeds, summarise  # here, because torch takes seconds to import
    from ghostpad.policy.play import play_episodes

    rows = max(1, round(seconds * spec.fps)) if video else 0
    shown: list[tuple[Frame, Pad]] = []

    def keep(episode: int, frame: Frame, pad: Pad) -> None:
        if episode == 0 and len(shown) < rows:
            shown.append((frame.copy(), pad.copy()))

    results = play_episodes(game, Contestant(policy, player).actor(game), evaluation_seeds(seed, episodes), on_frame=keep)
    for episode, result in enumerate(results):
        print(f"episode {episode}: return {result.return_:.1f} in {result.frames} frames")
    score = summarise(results)
    sem = "" if score["sem"] is None else f" ± {score['sem']:.1f} (standard error)"
    print(f"{policy.name if policy else player} plays {game}: mean return {score['mean']:.1f}{sem} over {score['n']} episodes")
    if video:
        from ghostpad.view.clip import write_agent_clip

        frames, pads = zip(*shown, strict=True)
        print(f"clip: {write_agent_clip(frames, pads, spec, video)}")
