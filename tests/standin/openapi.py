#!/usr/bin/python3
"""openapi.py SPEC CALLS: checks each answer of an API against its description, as TAP.

CALLS: lines "METHOD PATH STATUS TYPE BODYFILE". An answer must be described (method, path, status,
content), its body must fit the schema, and hold no key that the description does not name. Every
operation must have been called, answered well once and with an error once where it can fail.
"""
import json
import re
import sys

import jsonschema
import yaml

spec = yaml.safe_load(open(sys.argv[1]))
calls = [line.split() for line in open(sys.argv[2])]
done = {}
n = 0


def ok(good, text, why=""):
    global n
    n += 1
    print(f"{'' if good else 'not '}ok {n} - {text}")
    if not good:
        print(f"# {why}")


def deref(node):
    while isinstance(node, dict) and "$ref" in node:
        at = spec
        for part in node["$ref"].lstrip("#/").split("/"):
            at = at[part]
        node = at
    return node


def strict(node):
    """The schema with its references in place, and nothing allowed that it does not name."""
    node = deref(node)
    if isinstance(node, list):
        return [strict(x) for x in node]
    if not isinstance(node, dict):
        return node
    out = {k: strict(v) if k != "required" and k != "enum" else v for k, v in node.items()}
    if out.get("type") == "object" and "properties" in out:
        out.setdefault("additionalProperties", False)
    return out


def operation(method, path):
    for template, item in spec["paths"].items():
        if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path) and method.lower() in item:
            return item[method.lower()]
    return None


for method, path, status, kind, body in calls:
    name = f"{method} {path} {status}"
    op = operation(method, path.split("?")[0])
    if not op:
        # what is not described must be refused, in the form that errors have
        op = {"operationId": "", "responses": {"default": spec["components"]["responses"]["Error"]}}
    responses = op["responses"]
    answer = deref(responses.get(status) or (responses.get("default") if status >= "400" else None))
    done.setdefault(op["operationId"], set()).add("error" if status >= "400" else "good")
    if not answer:
        ok(False, name, "this status is not described")
        continue
    content = answer.get("content")
    if not content:
        ok(status == "101", name, "an answer without content that is no upgrade")
        continue
    if kind.split(";")[0] not in content:
        ok(False, name, f"content type {kind} is not described")
        continue
    try:
        schema = strict(content[kind.split(";")[0]]["schema"])
        jsonschema.Draft4Validator(schema).validate(json.load(open(body)))
        ok(True, name)
    except (ValueError, jsonschema.ValidationError) as e:
        ok(False, name, str(e).split("\n")[0])

for item in spec["paths"].values():
    for method, op in item.items():
        if method in ("get", "post", "put", "delete", "patch"):
            got = done.get(op["operationId"], set())
            ok("good" in got and ("error" in got or op["operationId"] in ("status", "approvals")),
               f"operation {op['operationId']} was called, with and without success", sorted(got))
print(f"1..{n}")
