"""The scripts and styles that pages hold, as they lie in this folder.

The viewer alone, for another page:

>>> css, js = VIEWER.css(), VIEWER.js()
>>> "clip360.openViewer" in js and "clip360.yawPlot" in js
True
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files


def read_asset(name: str) -> str:
    """The text of a file of this package, such as ``viewer.js``; FileNotFoundError where there is none."""
    return files("clip360.pages").joinpath(name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Assets:
    """Files of this package that belong together, in the order in which a page holds them."""

    styles: Sequence[str]
    scripts: Sequence[str]

    def css(self) -> str:
        """The content of one <style> element."""
        return "\n".join(map(read_asset, self.styles))

    def js(self) -> str:
        """The content of one <script> element: classic scripts, which define ``window.clip360`` and ``window.pannellum``."""
        return "\n".join(map(read_asset, self.scripts))


VIEWER = Assets(
    styles=("pannellum/pannellum.css", "viewer.css", "yaw_plot.css"),
    scripts=("pannellum/pannellum.js", "viewer.js", "yaw_plot.js"),
)
