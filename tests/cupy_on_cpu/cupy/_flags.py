"""How an array lies in memory."""


class Flags:
    """How an array lies in memory: as much as CuPy tells of it."""

    def __init__(self, c_contiguous, f_contiguous, owndata):
        self.c_contiguous, self.f_contiguous, self.owndata = c_contiguous, f_contiguous, owndata

    @property
    def forc(self):
        """F- or C-contiguous."""
        return self.f_contiguous or self.c_contiguous

    @property
    def fnc(self):
        """F- and not C-contiguous."""
        return self.f_contiguous and not self.c_contiguous

    def __getitem__(self, name):
        return {"C_CONTIGUOUS": self.c_contiguous, "F_CONTIGUOUS": self.f_contiguous, "OWNDATA": self.owndata}[name]

    def __repr__(self):
        return f"  C_CONTIGUOUS : {self.c_contiguous}\n  F_CONTIGUOUS : {self.f_contiguous}\n  OWNDATA : {self.owndata}"
