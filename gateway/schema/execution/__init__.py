"""Operations: planned at first sight, run by their plans."""
