"""Palette: the colours that tell series apart, on paper and on a page, in the light and in the dark."""

from typing import Final

# Seven hues that stay apart under protanopia, deuteranopia and tritanopia, at 3:1 or more to the page.
LIGHT: Final = ("#1f45c4", "#9a1a00", "#07a269", "#bd138d", "#a07f00", "#8b86f5", "#22262b")
DARK: Final = ("#3b8df5", "#e0603c", "#10e586", "#ff78bf", "#e8c22e", "#9fdcff", "#f2f2f2")
