"""Checks every JSON document of an OCI layout against the schemas of the image specification.

    schemas.py FOLDER-OF-SCHEMAS LAYOUT

The schemas carry `id`s that are addresses in the web; a resolver would fetch them. They are taken out, and references
between the files are answered from the folder.
"""

import json
import pathlib
import sys

import jsonschema

folder, layout = map(pathlib.Path, sys.argv[1:])


def without_ids(value):
    if isinstance(value, dict):
        return {k: without_ids(v) for k, v in value.items() if not (k == "id" and isinstance(v, str))}
    return [without_ids(v) for v in value] if isinstance(value, list) else value


base = "file:///schemas/"
schemas = {base + f.name: without_ids(json.loads(f.read_text())) for f in folder.glob("*.json")}


def check(document, schema, name):
    uri = base + schema
    resolver = jsonschema.RefResolver(uri, schemas[uri], store=schemas)
    jsonschema.Draft4Validator(schemas[uri], resolver=resolver).validate(document)
    print(name, "fits", schema)


def load(name):
    return json.loads((layout / name).read_text())


def walk(document, name):
    if "manifests" in document:
        check(document, "image-index-schema.json", name)
        for child in document["manifests"]:
            blob = "blobs/" + child["digest"].replace(":", "/")
            walk(load(blob), blob)
    else:
        check(document, "image-manifest-schema.json", name)
        blob = "blobs/" + document["config"]["digest"].replace(":", "/")
        check(load(blob), "config-schema.json", blob)


check(load("oci-layout"), "image-layout-schema.json", "oci-layout")
walk(load("index.json"), "index.json")
