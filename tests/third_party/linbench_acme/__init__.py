"""An example of an external plugin: a minimal implementation, and a new operator."""

from linbench_acme import attention, delta  # noqa: F401
