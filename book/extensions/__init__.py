"""Extensions of Sphinx."""
