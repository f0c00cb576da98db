"""Asks a page over HTTP."""

import http.client
from urllib.parse import urlsplit


def get(url: str) -> tuple[int, str]:
    """Status and body of a page."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", url.partition(parts.netloc)[2])
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
