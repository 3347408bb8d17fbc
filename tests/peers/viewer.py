"""Somebody in front of the viewer: opens a study, looks at pixels, takes its tools.

Rule: what is shown is read from the canvas that the person sees, and judged by the
phantom that it is a picture of.
"""

from typing import Final, cast

from tests.peers.browser import Visit

Color = tuple[int, int, int]

LIT: Final = """(least) => [...document.querySelectorAll('.cornerstone-canvas')].filter(canvas => {
  if (!canvas.width) return false;
  const seen = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  for (let at = 0; at < seen.length; at += 4) if (seen[at] + seen[at + 1] + seen[at + 2] > 90) return true;
  return false;
}).length >= least"""
"""Whether so many canvases show something that is not black."""

_COLOR: Final = """([x, y]) => {
  const canvas = document.querySelector('.cornerstone-canvas');
  const side = Math.min(canvas.width, canvas.height);
  const left = (canvas.width - side) / 2 + x * side, top = (canvas.height - side) / 2 + y * side;
  return [...canvas.getContext('2d').getImageData(Math.round(left), Math.round(top), 1, 1).data].slice(0, 3);
}"""
"""The color at a place of a square image, in parts of its side."""

_THUMBNAILS: Final = """async () => {
  const shown = [...document.querySelectorAll('[data-cy="study-browser-thumbnail"] img')].filter(i => i.naturalWidth);
  return shown.map(image => {
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const side = Math.min(canvas.width, canvas.height);
    const at = (x, y) => context.getImageData((canvas.width - side) / 2 + x * side,
                                              (canvas.height - side) / 2 + y * side, 1, 1).data[0];
    return [at(0.3, 0.3), at(0.75, 0.7), at(0.9, 0.1)];
  });
}"""


class Viewer:
    """The viewer in a tab.

    Parameters
    ----------
    visit : Visit
        Somebody who is signed in.
    """

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.page = visit.page

    def open(self, study: str, *, least: int = 1, more: str = "") -> None:
        """Open a study, and wait until so many viewports show something."""
        self.page.goto(f"/viewer/viewer?StudyInstanceUIDs={study}{more}")
        self.lit(least)

    def lit(self, least: int = 1) -> None:
        """Wait until so many viewports show something."""
        self.page.wait_for_function(LIT, arg=least)

    def color(self, x: float, y: float) -> Color:
        """Give the color at a place of a square image that fills the first viewport, in parts of its side."""
        return cast("Color", tuple(self.page.evaluate(_COLOR, [x, y])))

    def settled(self, x: float, y: float, least: Color, most: Color) -> Color:
        """Wait until the color at a place is within bounds; gives it."""
        between = f"""([where, least, most]) => ({_COLOR})(where).every((c, at) => least[at] <= c && c <= most[at])"""
        self.page.wait_for_function(between, arg=[[x, y], list(least), list(most)])
        return self.color(x, y)

    def pattern(self) -> None:
        """Wait until the first viewport shows the phantom's pattern: white and gray on black, where they belong."""
        bounds = [[[0.3, 0.3], 236, 255], [[0.75, 0.7], 101, 154], [[0.9, 0.1], 0, 19]]
        within = f"""bounds => bounds.every(([where, least, most]) => {{
          const [red] = ({_COLOR})(where);
          return least <= red && red <= most; }})"""
        self.page.wait_for_function(within, arg=bounds)

    def thumbnails(self, wanted: int) -> list[tuple[int, int, int]]:
        """Wait for so many thumbnails; gives of each how light the large square, the small one and the ground are."""
        count = """wanted => [...document.querySelectorAll('[data-cy="study-browser-thumbnail"] img')]
                               .filter(image => image.complete && image.naturalWidth).length >= wanted"""
        self.page.wait_for_function(count, arg=wanted)
        return [cast("tuple[int, int, int]", tuple(each)) for each in self.page.evaluate(_THUMBNAILS)]

    def tool(self, name: str) -> None:
        """Take a tool, or open a panel, by what its makers call it for tests."""
        self.page.click(f'[data-cy="{name}"]')

    def measure(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw a length between two places, in parts of the side of a square image."""
        self.tool("MeasurementTools-split-button-primary")
        box = self.page.locator(".cornerstone-canvas").first.bounding_box()
        assert box is not None
        side = min(box["width"], box["height"])
        left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
        mouse = self.page.mouse
        mouse.move(left + start[0] * side, top + start[1] * side)
        mouse.down()
        for step in range(1, 6):
            part = [start[at] + (end[at] - start[at]) * step / 5 for at in (0, 1)]
            mouse.move(left + part[0] * side, top + part[1] * side)
        mouse.up()

    def text(self, words: str) -> None:
        """Wait until words are in sight."""
        self.page.get_by_text(words).first.wait_for()

    def colored(self) -> None:
        """Wait until something in color is drawn into the first viewport: what is gray has three equal parts."""
        self.page.wait_for_function(
            """() => { const canvas = document.querySelector('.cornerstone-canvas');
              const seen = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
              for (let at = 0; at < seen.length; at += 4) if (Math.abs(seen[at] - seen[at + 2]) > 40) return true;
              return false; }"""
        )

    def outlined(self) -> None:
        """Wait until a line in red lies over the first viewport: outlines are drawn as SVG, not into the canvas."""
        self.page.wait_for_function(
            """() => [...document.querySelectorAll('.svg-layer [stroke]')]
                       .some(line => /^rgba?\\(255, *0, *0/.test(line.getAttribute('stroke')))"""
        )
