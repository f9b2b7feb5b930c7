"""Programs that tests need and a machine may lack."""

import os

import pytest


def missing(reason):
    """Skip a test for want of a program; in CI that is a failure."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
