"""Dataset converters: one module per dataset, loaded through the registry."""
