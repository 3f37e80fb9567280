"""How connections to the engines are encrypted, and who this installation is there."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from runtime.errors import StopError
from runtime.settings import KafkaSettings


def trust(ca: Path | None) -> ssl.SSLContext:
    """Client context that checks certificates and names, by the authorities in a file or by the system's.

    Raises
    ------
    StopError
        The file is not there or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise StopError("the file of trusted authorities cannot be read") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def kafka_client(settings: KafkaSettings) -> dict[str, Any]:
    """Librdkafka's settings for reaching the brokers."""
    found: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap,
        "security.protocol": settings.protocol,
    }
    if settings.ca is not None:
        trust(settings.ca)  # librdkafka would log its complaint and try for ever
        found["ssl.ca.location"] = str(settings.ca)
    if settings.user is not None and settings.password is not None:
        found |= {
            "sasl.mechanism": settings.mechanism,
            "sasl.username": settings.user.text(),
            "sasl.password": settings.password.text(),
        }
    return found


def sasl(settings: KafkaSettings) -> dict[str, Any] | None:
    """What the stream engine's client signs in with; None where nobody signs in."""
    if settings.user is None or settings.password is None:
        return None
    return {
        "username": settings.user.text(),
        "password": settings.password.text(),
        "mechanism": settings.mechanism,
        "ssl_context": trust(settings.ca) if settings.tls else None,
    }
