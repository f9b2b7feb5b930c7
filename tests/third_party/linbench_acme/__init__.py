"""What a stranger installs: one implementation in its least form, and a new operator."""

from linbench_acme import attention, delta  # noqa: F401
