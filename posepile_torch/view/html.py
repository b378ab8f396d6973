"""Self-contained HTML pages: no scripts, no network, images inside the file."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from posepile_torch.view.draw import png_bytes

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fafafa;
       max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left;
        border-bottom: 1px solid #ddd; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
img, svg { max-width: 100%; height: auto; } figcaption { color: #555; font-size: .9rem; }
figure { margin: 1rem 0; } code { background: #eee; padding: 0 .2rem; }
"""


@dataclass
class Page:
    """An HTML page that grows from top to bottom.

    Attributes:
        title: Heading and window title.
    """

    title: str
    _parts: list[str] = field(default_factory=list)

    def section(self, title: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{html.escape(title)}</h2>")

    def text(self, text: str) -> None:
        """Add a paragraph of plain text."""
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def picture(self, image: NDArray[np.uint8], caption: str) -> None:
        """Add an RGB image with its caption."""
        data = base64.b64encode(png_bytes(image)).decode()
        self._figure(
            f'<img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">', caption
        )

    def table(self, rows: Mapping[str, object]) -> None:
        """Add a table of names and values."""
        self.grid((), [(name, value) for name, value in rows.items()])

    def grid(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a table with a header; numbers are set flush right."""
        lines = ["<table>"]
        if header:
            lines.append("<tr>" + "".join(f"<th>{html.escape(h)}</th>" for h in header) + "</tr>")
        lines.extend("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
        self._parts.append("\n".join([*lines, "</table>"]))

    def bars(self, values: Mapping[str, float], caption: str, *, unit: str) -> None:
        """Add a chart with one horizontal bar per name."""
        top = max([*values.values(), 1e-9])
        width, step = 640, 22
        parts = [f'<svg viewBox="0 0 {width} {step * len(values)}" role="img">']
        for row, (name, value) in enumerate(values.items()):
            length = 380 * value / top
            parts.append(
                f'<text x="150" y="{row * step + 15}" text-anchor="end" font-size="13">'
                f"{html.escape(name)}</text>"
                f'<rect x="160" y="{row * step + 4}" width="{length:.1f}" height="14" '
                'fill="#009ed7"></rect>'
                f'<text x="{165 + length:.1f}" y="{row * step + 15}" font-size="13">'
                f"{value:,.6g} {html.escape(unit)}</text>"
            )
        self._figure("".join([*parts, "</svg>"]), caption)

    def curve(
        self, lines: Mapping[str, Sequence[tuple[float, float]]], caption: str, *, unit: str
    ) -> None:
        """Add a chart of one or more curves over a common horizontal axis, from zero up."""
        points = [point for line in lines.values() for point in line]
        right = max(x for x, _ in points) or 1.0
        top = max(y for _, y in points) or 1.0
        parts = ['<svg viewBox="0 0 640 260" role="img">']
        parts.append('<path d="M60 10V220H620" fill="none" stroke="#888"></path>')
        for value in (0.0, top / 2, top):
            y = 220 - 200 * value / top
            parts.append(
                f'<text x="52" y="{y + 4:.1f}" text-anchor="end" font-size="12">'
                f"{value:,.3g}</text>"
            )
        for (name, line), colour in zip(
            lines.items(), ("#009ed7", "#e67800", "#555"), strict=False
        ):
            path = " ".join(
                f"{60 + 560 * x / right:.1f},{220 - 200 * y / top:.1f}" for x, y in line
            )
            parts.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2">'
                "</polyline>"
            )
            x, y = line[-1]
            parts.append(
                f'<text x="{56 + 560 * x / right:.1f}" y="{212 - 200 * y / top:.1f}" '
                f'text-anchor="end" font-size="13" fill="{colour}">{html.escape(name)}</text>'
            )
        parts.append('<text x="60" y="240" font-size="12">0</text><text x="620" y="240" ')
        parts.append(f'text-anchor="end" font-size="12">{right:,.4g}</text></svg>')
        self._figure("".join(parts), f"{caption} ({unit})")

    def render(self) -> str:
        """Return the page as one HTML document."""
        return (
            "<!doctype html>\n"
            f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(self.title)}</title>'
            f"<style>{_STYLE}</style></head><body><h1>{html.escape(self.title)}</h1>\n"
            + "\n".join(self._parts)
            + "\n</body></html>\n"
        )

    def _figure(self, content: str, caption: str) -> None:
        self._parts.append(
            f"<figure>{content}<figcaption>{html.escape(caption)}</figcaption></figure>"
        )


def _cell(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<td class="number">{value:,.6g}</td>'
    return f"<td>{html.escape(str(value))}</td>"
