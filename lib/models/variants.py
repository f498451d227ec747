"""A frozen network that is used in another way, without training: other positions, tokens or pooling, in any combination."""

from clip360.models.attention_pooling import with_pooling
from clip360.models.clip import Clip
from clip360.models.positional_embeddings import with_positional_embedding
from clip360.models.tokenisation import with_tokenisation


def variant(clip: Clip, *, positional_embedding: str = "own", tokenisation: str = "own", pooling: str = "own") -> Clip:
    """A copy of the model with those kinds of positional embedding, tokenisation and pooling; ValueError where it cannot have them."""
    clip = with_positional_embedding(clip, positional_embedding) if positional_embedding != "own" else clip
    return with_pooling(with_tokenisation(clip, tokenisation), pooling)
