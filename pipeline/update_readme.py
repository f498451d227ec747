"""Put the results of the default profile into the README, between its markers.

    python -m pipeline.update_readme

The text between `<!-- NAME -->` and `<!-- end -->` becomes figures/tables/NAME.md. Other profiles leave the README alone.
"""

import re
from pathlib import Path

from pipeline.parameters import read_params

README, DEFAULT = Path("README.md"), "world"
BLOCK = re.compile(r"(<!-- (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(text: str, tables: Path) -> str:
    """The README with every block replaced by the table it names."""
    return BLOCK.sub(
        lambda block: f"{block[1]}{(tables / block['name']).with_suffix('.md').read_text(encoding='utf-8')}{block[3]}",
        text,
    )


if __name__ == "__main__":
    params = read_params()
    if params["profile"] == DEFAULT:
        text = fill(README.read_text(encoding="utf-8"), Path(params["figures"], "tables"))
        README.write_text(text, encoding="utf-8", newline="\n")
