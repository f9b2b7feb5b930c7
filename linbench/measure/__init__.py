"""How one implementation is called, timed, weighed and checked, inside a worker; imports torch."""
