"""Opens Ray's marks, as the sandbox does, in both ways in which releases of Python pickle an `Enum`."""

import pickle

from ray.util.annotations import AnnotationType
from ray_envbox.inside import _opened


class Marked:
    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


for reduced in ((AnnotationType, ("DeveloperAPI",)), (getattr, (AnnotationType, "DEVELOPER_API"))):
    print(type(_opened(pickle.dumps(Marked(*reduced)))).__name__)
