"""What a stranger installs: one implementation in its least form, and a new operator."""

from linbench_acme import attention, gated_delta  # noqa: F401
