"""The bill of materials of an image: the packages in it, as CycloneDX 1.5, kept for each image once.

A sandbox reads the lists that the package managers left (dpkg, and the metadata of Python's distributions; what others, such
as apk and rpm, installed is not in it). They are the image's own word, and hostile until they were checked: names and
versions are text of a bounded length.
"""

import contextlib
import hashlib
import json
from typing import Any
from urllib.parse import quote

from runner.faults import InfrastructureFault, SandboxLost, StoreFault
from runner.records.untrusted_json import InvalidJson, parse_object
from runner.sandbox.container import GuestExit
from runner.sandbox.fleet import Fleet
from runner.sandbox.image import Image
from runner.sandbox.lock import all_cpus
from runner.sandbox.spec import SandboxSpec
from runner.settings import cache_folder, write_cached

READ_DEADLINE_S = 60.0  # chosen: the largest of the shipped images takes under a second
PACKAGES_MAX, TEXT_CHARS_MAX = 20_000, 200  # chosen: a whole desktop system has a tenth, the longest name a fifth
FORM = 2  # of a bill: one that was kept in another form is read again
TYPES = {"deb": "pkg:deb/debian/", "python": "pkg:pypi/"}  # beginnings of package URLs (purl)


def bill_of_materials(fleet: Fleet, spec: SandboxSpec, image: Image) -> dict[str, Any]:
    """The bill, read in a sandbox where none is kept for this image.

    It says `missing` with the reason where it cannot be had: what ails an engine is told of each run, and recorded there.

    Raises:
        Interrupted: we are stopping.
    """
    try:
        return _kept_or_read(fleet, spec, image)
    except InfrastructureFault as fault:
        return {"missing": fault.cause}


def _kept_or_read(fleet: Fleet, spec: SandboxSpec, image: Image) -> dict[str, Any]:
    kept = cache_folder() / "bills" / f"{hashlib.sha256(f'{image.id} {FORM}'.encode()).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):  # not there, or damaged: it is read again
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    bill = as_cyclonedx(image, read_packages(fleet, spec))
    with contextlib.suppress(StoreFault):  # it is read again, the next time
        write_cached(kept, json.dumps(bill).encode())
    return bill


def read_packages(fleet: Fleet, spec: SandboxSpec) -> list[tuple[str, str, str]]:
    """(type, name, version) of every package of the image.

    Raises:
        SandboxLost: what the sandbox says is no list of packages; InfrastructureFault: it did not start.
        Interrupted: we are stopping.
    """
    with fleet.open(spec, "reader", role="check", cpuset=all_cpus(fleet.engine)) as sandbox:
        reply = sandbox.ask({"op": "packages"}, deadline_s=READ_DEADLINE_S)
    if isinstance(reply, GuestExit):
        raise SandboxLost(cause=f"the image's packages could not be read: {reply.detail}", hint="run the job again")
    try:
        return checked(parse_object(reply.frame.body, levels_max=4, unique_keys=True)["packages"])
    except (InvalidJson, KeyError, ValueError) as error:
        raise SandboxLost(
            cause=f"the image's list of packages cannot be read: {error}",
            hint="use an image whose package lists are whole",
        ) from error


def checked(packages: Any) -> list[tuple[str, str, str]]:
    """The same as plain, bounded text.

    Raises:
        ValueError: it is anything else.
    """
    if not isinstance(packages, list) or len(packages) > PACKAGES_MAX:
        raise ValueError(f"not a list of at most {PACKAGES_MAX}")
    for package in packages:
        if not isinstance(package, list) or len(package) != 3 or package[0] not in TYPES:
            raise ValueError("not type, name and version")
        if not all(isinstance(text, str) and len(text) <= TEXT_CHARS_MAX and text.isprintable() for text in package):
            raise ValueError("a name or a version that is no short text")
    return sorted({(str(kind), str(name), str(version)) for kind, name, version in packages})


def purl(kind: str, name: str, version: str) -> str:
    """A package's URL, as data bases of known holes look it up: names in small letters, the rest percent-encoded."""
    known_as = name.lower().replace("_", "-") if kind == "python" else name.lower()
    return f"{TYPES[kind]}{quote(known_as, safe='')}@{quote(version, safe=':')}"


def as_cyclonedx(image: Image, packages: list[tuple[str, str, str]]) -> dict[str, Any]:
    """CycloneDX 1.5, without a time and a serial number: the same image has the same bill."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": image.reference, "version": image.id}},
        "components": [
            {"type": "library", "name": name, "version": version, "purl": purl(kind, name, version)}
            for kind, name, version in packages
        ],
    }
