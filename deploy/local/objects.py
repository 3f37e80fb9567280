"""versitygw, an S3 service over a folder."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.local.place import HOST, Place, answers
from deploy.local.resolve import programs

REGION = "us-east-1"
"""The region that requests are signed for."""


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """The S3 service of a place."""

    place: Place
    name: str = "objects"

    @property
    def ports(self) -> tuple[int, ...]:
        """Ports it listens on."""
        return (self.place.ports.objects,)

    @property
    def endpoint(self) -> str:
        """What clients are given."""
        return f"http://{HOST}:{self.place.ports.objects}"

    def command(self) -> list[str]:
        """Make its folder and return its command line."""
        data = self.place.data(self.name)
        data.mkdir(parents=True, exist_ok=True)
        program = programs()[self.name].folder / "versitygw"
        address = f"{HOST}:{self.place.ports.objects}"
        return [str(program), "--port", address, "--region", REGION, "--quiet", "posix", str(data)]

    def environment(self) -> dict[str, str]:
        """Variables it reads: the one pair of keys it knows."""
        return {
            "ROOT_ACCESS_KEY": self.place.secret("s3-access-key").read_text("utf-8"),
            "ROOT_SECRET_KEY": self.place.secret("s3-secret-key").read_text("utf-8"),
        }

    def is_ready(self) -> bool:
        """Whether it listens."""
        return answers(self.place.ports.objects)
