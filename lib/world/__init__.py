"""A rendered world whose captions are exactly true: scenes as data, a ray caster, and a grammar."""
