"""What every page needs: the templates with their filters, numbers for people, pictures as text to stand inside the page."""

import base64
import io
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image


def template(name: str) -> Any:
    """A template of this folder by file name; everything put into it is escaped unless it is `Markup`."""
    environment = Environment(loader=PackageLoader("ghostpad", "view"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"number": number, "duration": duration}
    return environment.get_template(name)


def jpeg(image: Image.Image, quality: int = 80) -> str:
    """A picture as base64 JPEG."""
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=quality)
    return base64.b64encode(packed.getvalue()).decode()


def number(value: Any, digits: int = 3) -> str:
    """A number for people; None is a dash."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 or isinstance(value, int) else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds for people: 0.4 s, 41 s, 3 min 53 s, 2 h 05 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
