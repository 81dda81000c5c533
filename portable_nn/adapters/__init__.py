"""Outside worlds, one each: imported only by those who use them, each with an extra of its own."""
