"""Validates lines of JSON: schema.py events SCHEMA FILE | ocsf FILE. Prints what is wrong; ends with 0 if nothing is.

events: against the published schema, and nothing may be in an event that the schema doesn't name.
ocsf: each against the class that it says it is, in the version and with the profiles that it says, and the same.
"""
import json
import sys

import jsonschema

kind, path = sys.argv[1], sys.argv[-1]
lines = [json.loads(line) for line in open(path, "rb") if line.strip()]


def closed(schema):
    """The same schema, without room for what it doesn't name."""
    schema["unevaluatedProperties"] = False
    for part in schema.get("$defs", {}).values():
        if "properties" in part and part.get("additionalProperties") is None:
            part["additionalProperties"] = False
    return schema


def validator(schema):
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    kind.check_schema(schema)
    return kind(schema, format_checker=jsonschema.FormatChecker())


def events():
    check = validator(closed(json.load(open(sys.argv[2]))))
    return [(line, error) for line in lines for error in check.iter_errors(line)]


def ocsf():
    from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
    made, found = {}, []
    for line in lines:
        version, profiles = line["metadata"]["version"], line["metadata"]["profiles"]
        key = (version, line["class_uid"], *profiles)
        if key not in made:
            schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=version))
            name = schema.lookup_class_name_from_uid(class_uid=line["class_uid"])
            made[key] = validator(schema.get_class_schema(class_name=name, profiles=profiles))
        found += [(line, error) for error in made[key].iter_errors(line)]
    return found


found = {"events": events, "ocsf": ocsf}[kind]()
for line, error in found[:20]:
    name = line.get("kind") or line.get("activity_name")
    best = jsonschema.exceptions.best_match([error])
    print(f"{name}: {best.message[:400]} at {list(best.absolute_path)}")
    for cause in (error.context or [])[:40]:
        if cause.validator not in ("const",) and name in json.dumps(cause.parent.schema)[:100000]:
            print("   ", cause.message[:200], list(cause.absolute_path))
print(f"{len(lines)} lines, {len(found)} errors")
sys.exit(1 if found or not lines else 0)
