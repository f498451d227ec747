"""Prompts: a caption with the words that name the format of its image."""

TEMPLATE = "This is {cue} of {caption}"  # arXiv 2604.24642


def prompt(cue: str, caption: str, template: str = TEMPLATE) -> str:
    """A caption of an image in the format that the cue names; the cue stands in the template with its article.

    >>> prompt("360 panorama", "a beach"), prompt("image", "a beach")
    ('This is a 360 panorama of a beach', 'This is an image of a beach')
    >>> prompt("image", "a beach", "{caption} in {cue}")
    'a beach in an image'
    """
    article = "an" if cue[0].lower() in "aeiou" else "a"
    return template.replace("{cue}", f"{article} {cue}", 1).replace("{caption}", caption, 1)
