"""The `tanken` command: one file a verb, loaded only when it is called."""
