"""The peer of fastavro.rs: reads a container file, compares it, writes it once more.

usage: container_peer.py <file to read> <its records as JSON> <file to write> <codec>
"""

import base64
import json
import sys

import fastavro


def plain(value):
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


source, expected, target, codec = sys.argv[1:]
with open(source, "rb") as file:
    reader = fastavro.reader(file)
    schema, records = reader.writer_schema, list(reader)
with open(expected) as file:
    wanted = json.load(file)
found = [plain(record) for record in records]
if found != wanted:
    sys.exit(f"fastavro read {found}, not {wanted}")
with open(target, "wb") as file:
    fastavro.writer(file, fastavro.parse_schema(schema), records, codec=codec)
