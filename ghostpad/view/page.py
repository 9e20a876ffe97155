"""What every page needs: templates and their filters, numbers as words, pictures and clips as text inside the page."""

import base64
import io
import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from ghostpad import __version__
from ghostpad.base.errors import MediaError
from ghostpad.base.files import atomic_path
from ghostpad.video.decode import decode_frames

MAX_CLIP_BYTES = 12 * 2**20
"""A larger clip stays a file beside the page (a guess at what browsers and mail programs take)."""

TEMPLATES = Path(__file__).with_name("templates")
"""The folder of the product's templates."""


def write_page(template: Path, page: str | os.PathLike[str], **content: Any) -> Path:
    """Write the page that a template, which may extend those of `TEMPLATES`, makes of `content` and the version; returns its path.

    All content is escaped unless it is `Markup`.
    """
    loader = FileSystemLoader([template.parent, TEMPLATES])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"number": number, "duration": duration}
    html = environment.get_template(template.name).render(version=__version__, **content)
    with atomic_path(page) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return Path(page)


def jpeg(image: Image.Image, quality: int = 80) -> str:
    """A picture as base64 JPEG."""
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=quality)
    return base64.b64encode(packed.getvalue()).decode()


def number(value: Any, digits: int = 3) -> str:
    """A rounded number as text; None is a dash."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 or isinstance(value, int) else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds in words: 0.4 s, 41 s, 3 min 53 s, 2 h 05 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def clip_inside(path: Path) -> dict[str, Any]:
    """A clip to embed in a page: name, file, megabytes, poster, and data, None where it is too large."""
    size = path.stat().st_size
    data = base64.b64encode(path.read_bytes()).decode() if size <= MAX_CLIP_BYTES else None
    return {"name": path.stem, "file": f"{path.parent.name}/{path.name}", "megabytes": size / 2**20, "data": data, "poster": _poster(path)}


def _poster(path: Path) -> str | None:
    """A frame from early in the clip, as base64 JPEG, for readers that do not play videos; None if it cannot be read."""
    try:
        frame = next((frame for frame in decode_frames(path) if frame.pts_s >= 2.0), None) or next(decode_frames(path), None)
    except MediaError:
        return None
    return None if frame is None else jpeg(Image.fromarray(frame.image))
