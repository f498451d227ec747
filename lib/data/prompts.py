"""The words put before a caption to say which kind of picture it describes."""


def prompt(cue: str, caption: str) -> str:
    """A caption of a picture in the format that the cue names.

    >>> prompt("360 panorama", "a beach"), prompt("image", "a beach")
    ('This is a 360 panorama of a beach', 'This is an image of a beach')
    """
    article = "an" if cue[0].lower() in "aeiou" else "a"
    return f"This is {article} {cue} of {caption}"
