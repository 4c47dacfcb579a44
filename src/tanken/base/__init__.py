"""What every part stands on, in the standard library only: errors, records, progress, kinds of things, the native gate."""
