"""The peer of fastavro.rs for the JSON encoding: reads it, and compares it with its own.

usage: json_peer.py <container file> <its records in Avro's JSON encoding, one a line>
"""

import io
import json
import sys

import fastavro

source, encoded = sys.argv[1:]
with open(source, "rb") as file:
    reader = fastavro.reader(file)
    schema, records = fastavro.parse_schema(reader.writer_schema), list(reader)
with open(encoded, encoding="utf-8") as file:
    text = file.read()
theirs = io.StringIO()
fastavro.json_writer(theirs, schema, records)
parse = lambda lines: [json.loads(line) for line in lines.split("\n") if line]
ours, theirs = parse(text), parse(theirs.getvalue())
if ours != theirs:
    sys.exit(f"fastavro wrote {theirs}, not {ours}")
back = list(fastavro.json_reader(io.StringIO(text), schema))
if back != records:
    sys.exit(f"fastavro read {back}, not {records}")
