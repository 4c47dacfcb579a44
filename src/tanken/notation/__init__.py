"""The readers of our table notations: text that stands beside the manual, turned into records."""
