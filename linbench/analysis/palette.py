"""Palette: the colours of series, on paper and on a page, for the light and the dark theme."""

from typing import Final

# Seven hues that remain distinct under protanopia, deuteranopia and tritanopia; contrast to the page >= 3:1.
LIGHT: Final = ("#1f45c4", "#9a1a00", "#07a269", "#bd138d", "#a07f00", "#8b86f5", "#22262b")
DARK: Final = ("#3b8df5", "#e0603c", "#10e586", "#ff78bf", "#e8c22e", "#9fdcff", "#f2f2f2")
