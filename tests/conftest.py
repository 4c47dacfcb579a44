"""What all tests share: Hypothesis without deadlines, since the first example may wait for a compiler.

No fixtures stand here; a part's own stand beside its tests.
"""

from hypothesis import settings

settings.register_profile("tanken", deadline=None)
settings.load_profile("tanken")
