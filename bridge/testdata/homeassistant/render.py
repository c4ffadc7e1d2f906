"""Renders templates as Home Assistant does, with the engine that it uses.

Reads a JSON list of {template, payload, value} and writes the list of what came of
them. With a payload it is a value template (value, value_json), else a command
template (value). Whatever Home Assistant would only warn of is an error here.
"""

import json
import sys

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

env = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
env.filters["to_json"] = lambda value: json.dumps(value, ensure_ascii=False)

out = []
for job in json.load(sys.stdin):
    variables = {"value": job["value"]}
    if job.get("payload") is not None:
        variables["value"] = job["payload"]
        try:
            variables["value_json"] = json.loads(job["payload"])
        except ValueError:
            pass
    try:
        out.append({"text": env.from_string(job["template"]).render(variables)})
    except Exception as err:  # noqa: BLE001
        out.append({"error": f"{type(err).__name__}: {err}"})
json.dump(out, sys.stdout)
