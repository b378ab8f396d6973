"""The ``posepile`` command, one module per group of verbs."""
