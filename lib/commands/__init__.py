"""The subcommands of `clip360`, a module each: a parser, and a function that calls the package.

Nothing heavy is imported at the top of these modules: torch and what needs it are loaded inside a function, so that
`clip360 --help` answers at once.
"""
