"""Writes two of a release's files, the same for the same input: a zip of the program, and the bill of materials.

    release_files.py pack PROGRAM ZIP
    release_files.py materials BILL SOURCES < LIST OF CRATES

The time of both is SOURCE_DATE_EPOCH.
"""

import json
import os
import re
import sys
import time
import zipfile


def pack(program, archive):
    """cargo-lambda's own zip carries the time of the build."""
    entry = zipfile.ZipInfo("bootstrap", time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, whatever wrote it
    entry.external_attr = 0o100755 << 16
    with open(program, "rb") as source, zipfile.ZipFile(archive, "w") as target:
        target.writestr(entry, source.read(), compresslevel=9)


def materials(bill, sources):
    """What cargo-cyclonedx lists, less the crates that only tests or unused features need: `cargo tree` knows those apart."""
    linked = set(re.findall(r"^(\S+) v(\S+)", sys.stdin.read(), re.M))
    with open(bill) as text:
        listed = json.loads(text.read().replace(sources, "/source"))
    dropped = {part["bom-ref"] for part in listed["components"] if (part["name"], part["version"]) not in linked}
    listed["components"] = [part for part in listed["components"] if part["bom-ref"] not in dropped]
    listed["dependencies"] = [
        {name: [ref for ref in value if ref not in dropped] if name == "dependsOn" else value for name, value in entry.items()}
        for entry in listed["dependencies"]
        if entry["ref"] not in dropped
    ]
    with open(bill, "w") as target:
        json.dump(listed, target, indent=1)
        target.write("\n")


if __name__ == "__main__":
    {"pack": pack, "materials": materials}[sys.argv[1]](*sys.argv[2:])
