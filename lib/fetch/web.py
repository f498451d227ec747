"""A polite client of web APIs: one request at a time, at a steady rate, repeated where the server asks for it."""

import json
import time
from collections.abc import Callable
from importlib.metadata import version
from urllib.parse import urlencode

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

MAX_RETRIES = 5  # of a request that fails or is refused temporarily
MAX_DOWNLOADS = 3  # of a body that arrives damaged
LATER = "fetch again later, it continues where it stopped"


class Busy(Exception):
    """Raised by a reader whose body says that the server is busy: the request is repeated later."""


def user_agent(contact: str | None = None) -> str:
    """Name and version of this client, with a way to reach whoever runs it; ValueError for one that no header can hold.

    The form is that of Wikimedia's policy: client/version (contact) library/version.

    >>> user_agent("me@example.org").split()[1]
    '(me@example.org)'
    """
    contact = contact and contact.strip()
    if contact and (not contact.isascii() or not contact.isprintable() or set(contact) & set("()")):
        raise ValueError(f"--contact is {contact!r}: expected an e-mail address or the address of a page")
    words = [
        f"clip360/{version('clip360')}",
        *([f"({contact})"] if contact else []),
        f"requests/{requests.__version__}",
    ]
    return " ".join(words)


def connect(agent: str, *, rate: float = 1.0, timeout: float = 30.0, backoff: float = 1.0) -> Callable:
    """A function ``get(url, read, **query)`` that returns ``read(body)`` of the bytes at ``url`` with the parameters ``query``.

    It sends at most ``rate`` requests per second, retries included, with the User-Agent ``agent``. It retries a request without
    an answer for ``timeout`` seconds, or with status 429 or 5xx, at once, then after ``backoff`` times 2, 4, 8, ... seconds, or
    at the time of Retry-After. It downloads bytes again that ``read`` rejects with ValueError, and asks again where ``read``
    raises ``Busy``. ``get`` raises FileNotFoundError where the server says that nothing is there (404, 410), and RuntimeError
    when the last retry fails.
    """
    next_request = 0.0

    def pace() -> None:
        nonlocal next_request
        time.sleep(max(0.0, next_request - time.monotonic()))
        next_request = time.monotonic() + 1 / rate

    class PacedRetry(Retry):  # Retry alone does not keep to the rate
        def sleep(self, response=None) -> None:
            super().sleep(response)
            pace()

    retry = PacedRetry(MAX_RETRIES, backoff_factor=backoff, status_forcelist=[429, *range(500, 600)])
    session = requests.Session()
    session.headers["User-Agent"] = agent
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))

    def answer(url: str) -> requests.Response:
        pace()
        try:
            response = session.get(url, timeout=timeout, stream=True)
            if response.status_code in (404, 410):
                raise FileNotFoundError(f"{url} is not there (status {response.status_code})")
            response.raise_for_status()
        except requests.RequestException as error:
            raise RuntimeError(f"{url} cannot be fetched ({error}): {LATER}") from error
        return response

    def get(url: str, read: Callable, **query: str | int):
        url = f"{url}?{urlencode(query)}" if query else url
        damaged = busy = 0
        while True:
            response = answer(url)
            try:
                return read(_body(response))
            except ValueError as error:
                damaged += 1
                if damaged == MAX_DOWNLOADS:
                    raise RuntimeError(f"{url} came damaged {damaged} times ({error}): {LATER}") from error
                wait = backoff * 2**damaged
            except Busy as error:
                busy += 1
                if busy > MAX_RETRIES:
                    raise RuntimeError(f"{url} is busy ({error}): {LATER}") from error
                wait = max(retry.get_retry_after(response.raw) or 0, backoff * 2**busy)
            time.sleep(wait)

    return get


def _body(response: requests.Response) -> bytes:
    # Return an incomplete body too: its reader reports best what is missing.
    response.raw.enforce_content_length = False
    body = bytearray()
    try:
        for chunk in response.iter_content(1 << 16):
            body += chunk
    except requests.RequestException:
        pass
    return bytes(body)


def json_object(body: bytes) -> dict:
    """The JSON object in a body; ValueError if it is none."""
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {type(value).__name__}")
    return value
