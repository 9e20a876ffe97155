"""One thread a process: the tests run side by side, and small matrices only lose time when they are split.

Hypothesis draws the same examples every time and has no deadline: a busy machine is no failure.
"""

import os
from uuid import uuid4

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid4().hex}  # before anything imports ray

from collections.abc import Iterator, Sequence  # noqa: E402
from pathlib import Path  # noqa: E402  (after the threads are set, which numpy reads when it is loaded)
from typing import Any, NamedTuple  # noqa: E402

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("ghostpad", deadline=None, derandomize=True)
settings.load_profile("ghostpad")

SMALL_IDM: dict[str, dict[str, Any]] = {
    "model": {"width_px": 64, "height_px": 48, "dim": 16, "heads": 2, "dropout": 0, "clip_rows": 16},
    "data": {"batch_size": 4, "validation_share": 0.5},
    "train": {"threads": 1},
}
"""Settings of an IDM that trains in seconds."""


def small_idm_run(**parts: dict[str, Any]) -> Any:
    """An `IdmRun` of the small IDM, with parts of its settings changed: `small_idm_run(train={"steps": 2})`."""
    from ghostpad.base.settings import build_settings
    from ghostpad.idm.settings import IdmRun

    return build_settings(IdmRun, {name: part | parts.get(name, {}) for name, part in SMALL_IDM.items()}, "test")


class Small(NamedTuple):
    """Real footage, 20 s of a Doom novice with its pads and 10 s of an expert whose pads lie in `truth`. Copy before changing."""

    novice: Path
    wild: Path
    truth: Path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Recorded once a session."""
    from ghostpad.corpus.record import record_corpus

    root = tmp_path_factory.mktemp("small")
    found = Small(root / "novice", root / "wild", root / "truth")
    record_corpus("doom", "novice", minutes=1 / 3, seed=1, out=found.novice)
    record_corpus("doom", "expert", minutes=1 / 6, seed=2, out=found.wild, withhold=found.truth)
    return found


@pytest.fixture(scope="session")
def small_idm() -> Any:
    """`small_idm_run`, for tests that train."""
    return small_idm_run


@pytest.fixture(scope="session")
def small_idm_flags() -> list[str]:
    """The flags that make the IDM of 'ghostpad train idm' the small one."""
    return [f"--{part}.{name}={value}" for part, values in SMALL_IDM.items() for name, value in values.items()]


@pytest.fixture(scope="session")
def idm_run(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a small IDM that has learned a little from the novice."""
    from ghostpad.idm.train import train_idm

    out = tmp_path_factory.mktemp("idm") / "run"
    train_idm([small.novice], out, small_idm_run(train={"steps": 100, "lr": 0.005, "warmup_steps": 5}))
    return out


@pytest.fixture(scope="session")
def read_flags() -> Any:
    """`read_flags(defaults, words)`: the settings that the command line reads out of flags, laid over defaults and validated."""
    import tyro

    from ghostpad.base.settings import Settings, load_settings
    from ghostpad.cli.flags import CONFIG, Flags, SettingFlags, settings_registry

    def read(defaults: Settings, words: Sequence[str]) -> Any:
        default = Flags(defaults)

        def command(*, settings: SettingFlags = default) -> Flags:
            return settings

        found = tyro.cli(command, args=words, config=CONFIG, registry=settings_registry())
        return load_settings(type(defaults), None, found.values)

    return read


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SigLIP vision tower with random weights, as `transformers` saves it."""
    import torch

    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.SiglipVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=16
    )
    folder = tmp_path_factory.mktemp("siglip")
    transformers.SiglipVisionModel(config).save_pretrained(folder)
    return folder


def write_growing(path: Path, images: Sequence[Any], fps: int = 20) -> Path:
    """An MPEG-TS of pictures uint8 [H, W, 3] whose size may change between them, as when a stream is switched."""
    from fractions import Fraction

    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "1"})
        stream.height, stream.width = images[0].shape[:2]
        encoder, held = stream.codec_context, []
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            if (frame.width, frame.height) != (encoder.width, encoder.height):
                held += encoder.encode(None)
                encoder = av.CodecContext.create("libx264", "w")
                encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuv420p"
                encoder.time_base, encoder.options = frame.time_base, {"crf": "1"}
            held += encoder.encode(frame)
        for packet in [*held, *encoder.encode(None)]:
            packet.stream, packet.time_base = stream, Fraction(1, fps)
            container.mux(packet)
    return path


@pytest.fixture(scope="session")
def growing_video() -> Any:
    """`write_growing`."""
    return write_growing


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """A Ray cluster of this machine with two cores, to which nodes may be added; nothing is left when it ends."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 80_000_000, "include_dashboard": False})
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of a server on this machine that speaks S3."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The file system of an empty s3://bucket, which the real driver finds by the environment; emptied after the test."""
    import s3fs

    for name, value in {"ENDPOINT_URL": s3_endpoint, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    files.mkdir("bucket")
    yield files
    files.rm("bucket", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()
