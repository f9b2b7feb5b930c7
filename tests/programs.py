"""Programs that some tests need and that may be missing on a machine."""

import os

import pytest


def missing(reason):
    """Skip a test because a program is missing; in CI, fail it."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
