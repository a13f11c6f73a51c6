"""Build the wheel, and beside it its bill of materials: ``python tools/sbom.py [FOLDER]``, ``dist`` by default.

The bill is CycloneDX 1.6: the wheel with its SHA-256, what it carries that others made (``docs/licences.md``), and
every package that it needs, directly or not, in the versions of this environment, in which the tests passed. The same
sources and packages give the same bytes: it has no time, and its serial number is derived from its content.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from zipfile import ZipFile

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.spdx import is_expression
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
NAME = "cardproof"
LICENCES = ROOT / "docs" / "licences.md"
ROW = re.compile(
    r"^\| `(?P<files>[^`]+)` \| (?P<what>.+?) \| (?P<source>.+?) \| (?P<licence>[\w.-]+)[^|]* \|$", re.MULTILINE
)
OURS = "this project"


def build(folder: Path) -> Path:
    """Return the wheel that is built into a folder."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder.absolute())]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (name,) = re.findall(r"[\w.+-]+\.whl$", done.stdout + done.stderr, re.MULTILINE)
    return folder / name


def bill_of(wheel: Path) -> str:
    """Return the bill of materials of a wheel."""
    version = wheel.name.split("-")[1]
    whole = Component(
        name=NAME,
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=NAME,
        purl=PackageURL("pypi", None, NAME, version),
        licenses=[_licence("Apache-2.0")],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(wheel.read_bytes()).hexdigest())],
        components=_carried(wheel),
    )
    bom = Bom(metadata=BomMetaData(component=whole))
    bom.metadata.timestamp = None  # type: ignore[assignment]  # the same bytes tomorrow
    packages = dict(_packages())
    components = {name: _package(found) for name, (found, _) in packages.items()}
    bom.components.update(components.values())
    bom.register_dependency(whole, [components[name] for name in _needs(distribution(NAME))])
    for name, (_, needs) in packages.items():
        bom.register_dependency(components[name], [components[needed] for needed in needs])
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"{version} {_json(bom, uuid.UUID(int=0))}")
    return _json(bom, bom.serial_number)


def _json(bom: Bom, serial: uuid.UUID) -> str:
    bom.serial_number = serial
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    document["metadata"].pop("timestamp", None)
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _carried(wheel: Path) -> Iterator[Component]:
    """Yield the files of a wheel that others made, or that are weights, with their licences."""
    rows = list(ROW.finditer(LICENCES.read_text(encoding="utf-8")))
    with ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            source = name if name.startswith("res2next/") else f"tools/{name}"
            row = next((row for row in rows if any(fnmatch(source, one) for one in row["files"].split())), None)
            if row and (row["source"] != OURS or name.endswith(".safetensors")):
                weights = name.endswith(".safetensors")
                yield Component(
                    name=name,
                    type=ComponentType.MACHINE_LEARNING_MODEL if weights else ComponentType.FILE,
                    bom_ref=f"file:{name}",
                    description=re.sub(r"[`\[]|\]\(.*?\)", "", f"{row['what']}; {row['source']}"),
                    licenses=[_licence(row["licence"])],
                    hashes=[
                        HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(archive.read(name)).hexdigest())
                    ],
                )


def _packages() -> Iterator[tuple[str, tuple[Distribution, list[str]]]]:
    """Yield all packages that the project needs, with the names of those that they need."""
    seen: set[str] = set()
    waiting = _needs(distribution(NAME))
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            found = distribution(name)
            needs = _needs(found)
            yield name, (found, needs)
            waiting += needs


def _needs(found: Distribution) -> list[str]:
    """Return the names of the installed packages that a package needs here, without its extras."""
    names = []
    for requirement in map(Requirement, found.requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            try:
                names.append(canonicalize_name(distribution(requirement.name).metadata["Name"]))
            except PackageNotFoundError:
                print(f"{found.metadata['Name']} needs {requirement}, which is not installed", file=sys.stderr)
    return sorted(set(names))


def _package(found: Distribution) -> Component:
    metadata = found.metadata
    name = canonicalize_name(metadata["Name"])
    classifiers = [text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier") or () if "License ::" in text]
    stated = metadata.get("License-Expression") or (classifiers[0] if classifiers else metadata.get("License"))
    required = [text for text in distribution(NAME).requires or () if canonicalize_name(Requirement(text).name) == name]
    return Component(
        name=metadata["Name"],
        version=found.version,
        bom_ref=f"pypi:{name}",
        purl=PackageURL("pypi", None, name, found.version),
        licenses=[_licence(stated.splitlines()[0])] if stated else [],
        properties=[Property(name="cardproof:requirement", value=text) for text in required if "extra ==" not in text],
    )


def _licence(text: str) -> LicenseExpression | DisjunctiveLicense:
    return LicenseExpression(text) if is_expression(text) else DisjunctiveLicense(name=text)


def main() -> None:
    """Write the wheel and its bill of materials."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist")
    wheel = build(folder)
    bill = wheel.with_name(f"{NAME}-{wheel.name.split('-')[1]}.cdx.json")
    bill.write_text(bill_of(wheel), encoding="utf-8")
    print(wheel, bill, sep="\n")


if __name__ == "__main__":
    main()
