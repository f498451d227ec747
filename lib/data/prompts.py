"""Prompts: a caption with the words that name the format of its image."""


def prompt(cue: str, caption: str) -> str:
    """A caption of an image in the format that the cue names.

    >>> prompt("360 panorama", "a beach"), prompt("image", "a beach")
    ('This is a 360 panorama of a beach', 'This is an image of a beach')
    """
    article = "an" if cue[0].lower() in "aeiou" else "a"
    return f"This is {article} {cue} of {caption}"
