#!/usr/bin/env python3
"""What the program is made of, from `cargo metadata`: the crates that are linked into it for a target.

    crates.py sbom TARGET        a CycloneDX 1.5 bill of materials, as JSON
    crates.py licences TARGET    the licence texts that the crates ship, as text

The crates are those that cargo resolves for the target without development dependencies.
"""
import json
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent


def crates(target):
    """The packages that the program links, ours first, with the ids of what each needs."""
    command = ["cargo", "metadata", "--format-version=1", "--locked", f"--filter-platform={target}"]
    data = json.loads(subprocess.run(command, cwd=TOP, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in data["packages"]}
    needs = {
        node["id"]: [dep["pkg"] for dep in node["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        for node in data["resolve"]["nodes"]
    }
    found, waiting = {}, [data["resolve"]["root"]]
    while waiting:
        crate = waiting.pop()
        if crate not in found:
            found[crate] = needs[crate]
            waiting.extend(needs[crate])
    return packages, found


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, kind):
    entry = {"type": kind, "bom-ref": purl(package), "name": package["name"], "version": package["version"], "purl": purl(package)}
    if package["license"]:
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    return entry


def sbom(target):
    packages, found = crates(target)
    ours, *others = found
    others.sort(key=lambda crate: (packages[crate]["name"], packages[crate]["version"]))
    return json.dumps({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(packages[ours], "application"), "properties": [{"name": "target", "value": target}]},
        "components": [component(packages[crate], "library") for crate in others],
        "dependencies": [
            {"ref": purl(packages[crate]), "dependsOn": sorted({purl(packages[need]) for need in found[crate]})} for crate in found
        ],
    }, indent=1)


def licences(target):
    packages, found = crates(target)
    texts = {}
    for crate in sorted(found, key=lambda crate: packages[crate]["name"]):
        package = packages[crate]
        folder = pathlib.Path(package["manifest_path"]).parent
        files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name.upper().startswith(("LICEN", "COPYING", "UNLICEN", "NOTICE"))]
        for file in files or [None]:
            text = file.read_text(errors="replace").strip() if file else "(the crate ships no text)"
            texts.setdefault(text, []).append(f"{package['name']} {package['version']}: {package['license']}")
    rule = "=" * 100
    return "\n\n".join(f"{rule}\n" + "\n".join(names) + f"\n{rule}\n{text}" for text, names in texts.items())


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("sbom", "licences"):
        sys.exit(__doc__)
    print({"sbom": sbom, "licences": licences}[sys.argv[1]](sys.argv[2]))
