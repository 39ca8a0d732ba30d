#!/usr/bin/env python3
"""Writes the seeds of the corpus out of the golden data in the crates' testdata folders.

Inputs that a fuzzer found are not touched. Seeds are named after what they hold, so running it
again changes nothing.
"""
import bz2
import gzip
import json
import re
import struct
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def put(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    (folder / safe).write_bytes(data)


def lines(path):
    return [json.loads(line) for line in (ROOT / path).read_text().splitlines()]


def chunk(data):
    return struct.pack(">H", len(data)) + data


def frames(path):
    data = gzip.decompress(path.read_bytes())
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def pgoutput():
    for path in sorted((ROOT / "pgoutput/testdata/captures").glob("*.cap.gz")):
        name = path.name.removesuffix(".cap.gz")
        version = int(re.search(r"-v(\d)-", name).group(1))
        options = version - 1 | (4 if version == 4 else 0)
        session, seen = bytes([options]), {}
        for frame in frames(path):
            letter = chr(frame[25]) if frame[:1] == b"w" else "keepalive"
            seen[letter] = seen.get(letter, 0) + 1
            if len(frame) > 700:
                continue
            if "basic" in name and seen[letter] == 1:
                put("pgoutput_frame", f"{name}-{letter}{'' if letter.isupper() else '-lower'}", frame)
            if letter == "keepalive":
                continue
            if seen[letter] <= (6 if letter in "RYIUD" else 3) and len(session) < 6000:
                session += chunk(frame[25:])
        put("pgoutput_message", name, session)
        if "basic" not in name:
            put("pgoutput_assembler", name, session)

    values()
    signature = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    scenarios = ROOT / "debezium-model/testdata/scenarios"
    for scenario in ["types_num_default", "types_arr_default", "types_time_default", "ods_default"]:
        rows = []
        for step in json.loads((scenarios / f"{scenario}.json").read_text())["steps"]:
            for message in step["messages"]:
                row = message.get("after_binary")
                if row and all(column[0] in "bn" for column in row):
                    rows.append(copy_row(row))
        bodies = [signature + rows[0], *rows[1:4], b"\xff\xff"]
        put("pgoutput_copy", scenario, b"".join(map(chunk, bodies)))
    put("pgoutput_copy", "one-body", chunk(signature + struct.pack(">h", 0) * 3 + b"\xff\xff"))
    put("pgoutput_copy", "no-rows", chunk(signature + b"\xff\xff"))
    extension = signature[:15] + struct.pack(">i", 3) + b"ext"
    put("pgoutput_copy", "header-extension", chunk(extension) + chunk(b"\xff\xff") + chunk(b"\0\0"))
    put("pgoutput_copy", "negative-length", chunk(signature + b"\0\1\xff\xff\xff\xfe"))


def values():
    source = (HERE / "src/pgoutput_value.rs").read_text()
    ids = re.search(r"const TYPES: \[u32; \d+\] = \[(.*?)\];", source, re.S).group(1)
    types = [int(id.replace("_", "")) for id in ids.split(",") if id.strip()]
    seen = set()
    for path in sorted((ROOT / "pgoutput/testdata/captures").glob("pg15-basic*.jsonl.gz")):
        columns = {}
        for line in gzip.decompress(path.read_bytes()).splitlines():
            message = json.loads(line)
            if message.get("kind") == "R":
                columns[message["oid"]] = message["columns"]
            for type, value in zip(columns.get(message.get("rel"), []), message.get("new", [])):
                kind, id = value["k"], type["type_oid"]
                data = bytes.fromhex(value.get("hex", ""))
                if kind not in "tb" or id not in types or (kind, id) in seen or len(data) > 200:
                    continue
                seen.add((kind, id))
                form = "text" if kind == "t" else "binary"
                put("pgoutput_value", f"{form}-{id}", bytes([types.index(id), kind == "b"]) + data)
    element = struct.pack(">i", 4) + bytes.fromhex("00000007")
    by_hand = {
        "text-2249": '(1,"a""b",)',
        "text-3614": "'a':1A,2 'b c'",
        "text-3615": "'a' & ( 'b':*A | !'c' <-> 'd' )",
        "text-4451": "{[1,2),[3,)}",
        "text-6150": '{"{[1,2),[3,)}",NULL}',
        "text-20000": '(1,"a b","{1.5,NULL}","""a""=>""1"", ""b""=>NULL")',
        "text-20001": '"a"=>"1", "b"=>NULL',
        "text-20003": '{"(1,a,{},)",NULL}',
        "text-20006": '{["a b","c\\"d"]}',
        "text-1007": "[0:1][-1:0]={{1,2},{3,NULL}}",
        "text-1186": "-1 years -2 mons +3 days -04:05:06.789",
        "text-1184": "0044-03-15 12:00:00.5+01:30 BC",
        "binary-1007": struct.pack(">iiiii", 1, 1, 23, 2, 1) + element + struct.pack(">i", -1),
        "binary-2249": struct.pack(">ii", 1, 23) + element,
        "binary-3614": b"\0\0\0\1a\0\0\2\xc0\1\0\5",
        "binary-3615": b"\0\0\0\3\2\2\1\0\0b\0\1\0\0a\0",
        "binary-3904": b"\2" + element + struct.pack(">i", 4) + bytes.fromhex("00000009"),
        "binary-4451": struct.pack(">ii", 1, 9) + b"\x08" + element,
        "binary-20001": b"\0\0\0\1\0\0\0\1k\0\0\0\1v",
    }
    for name, data in by_hand.items():
        form, id = name.split("-")
        data = data.encode() if form == "text" else data
        put("pgoutput_value", name, bytes([types.index(int(id)), form == "binary"]) + data)


def copy_row(row):
    out = struct.pack(">h", len(row))
    for column in row:
        value = bytes.fromhex(column[1]) if column[0] == "b" else None
        out += struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value
    return out


def zigzag(value):
    value = value << 1 ^ value >> 63
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def avro():
    golden = ROOT / "avro-wire/testdata/debezium"
    for scenario in sorted(golden.iterdir()):
        records = [json.loads(line) for line in (scenario / "records.jsonl").open()]
        schemas = {}
        for line in (scenario / "schemas.jsonl").open():
            schema = json.loads(line)
            text = schema["avro"] if isinstance(schema["avro"], str) else json.dumps(schema["avro"])
            schemas[schema["id"]] = text
            if len(text) < 6000:
                put("avro_schema", f"{scenario.name}-{schema['id']}", text.encode())
        for index, record in enumerate(records[:2]):
            message = bytes.fromhex(record["key_avro_hex"])
            put("avro_framing", f"{scenario.name}-{index}", message)
            schema, datums = schemas[record["key_schema"]], [message[5:]] * 3
            for codec in ["null", "deflate"]:
                put("avro_container", f"{scenario.name}-{index}-{codec}", container(schema, codec, datums))

    leniences = {
        "aliases": '{"type":"record","name":"a.B","aliases":["C","x.Y"],"fields":[]}',
        "default-union": '{"type":"record","name":"R","fields":[{"name":"u","type":["null",'
        '{"type":"map","values":"R"}],"default":null},{"name":"e","type":{"type":"enum","name":"E",'
        '"symbols":["A","B"],"default":"B"},"default":"A"}]}',
        "defaults": '{"type":"record","name":"R","fields":[{"name":"d","type":{"type":"bytes",'
        '"logicalType":"decimal","precision":4,"scale":2},"default":"\\u00ff"},{"name":"f","type":'
        '{"type":"fixed","name":"F","size":2},"default":"ab"},{"name":"r","type":{"type":"record",'
        '"name":"S","fields":[{"name":"x","type":"double"}]},"default":{"x":1e300}},{"name":"m",'
        '"type":{"type":"array","items":"long"},"default":[1,-2]}]}',
        "duplicate": '{"type":"record","name":"R","fields":[{"name":"a","type":"int"},'
        '{"name":"a","type":"R"}]}',
        "namespaces": '{"type":"record","name":"R","namespace":"n.s","fields":[{"name":"a","type":'
        '{"type":"fixed","namespace":"","name":"F","size":1}},{"name":"b","type":"F"},{"name":"c",'
        '"type":"n.s.R"}]}',
        "nested": '{"type":"array","items":' * 70 + '"int"' + "}" * 70,
        "odd-names": '{"type":"record","name":"a-b c","fields":[{"name":"$","type":"string"}]}',
        "primitive": '"string"',
        "union": '["null","boolean","int","long","float","double","bytes","string"]',
        "union-in-union": '["null",["int"]]',
    }
    for name, text in leniences.items():
        put("avro_schema", name, text.encode())
    put("avro_framing", "apicurio-8", bytes(8) + b"\x07x")
    put("avro_framing", "apicurio-negative", b"\0\xff" + bytes(7) + b"x")
    put("avro_framing", "confluent-guid", b"\x01" + bytes(range(16)) + b"x")
    put("avro_framing", "glue", b"\x03\x00" + bytes(16) + b"x")
    put("avro_framing", "glue-unknown", b"\x03\x07" + bytes(16) + b"x")
    put("avro_framing", "glue-zlib", b"\x03\x05" + bytes(16) + zlib.compress(b"x" * 100))
    put("avro_framing", "single-object", b"\xc3\x01" + bytes(range(8)) + b"x")
    put("avro_framing", "short", bytes(4))

    text = lambda s: zigzag(len(s)) + s.encode()
    envelope = (
        zigzag(0) + zigzag(1) + zigzag(7) + zigzag(1) + text("note") + zigzag(1) + b"\x04\x07\xcf"
        + text("shop") + zigzag(1) + zigzag(1 << 40) + text("c") + zigzag(0)
    )
    moments = [19782, 34200500, 86400000000, -1, 1 << 62, -(1 << 63), 253402300800000]
    big = text("\x04") + zigzag(-3)
    logical = (
        zigzag(3) + b"\xfe\x04\xd2" + zigzag(len(big)) + big + text("0" * 36) + bytes(range(28))
        + b"".join(map(zigzag, moments))
    )
    odd = zigzag(0) + text("\2\4") + text("") + bytes(28) + b"".join(zigzag(-n) for n in moments)
    node = text("old") + zigzag(-5)
    resolutions = {
        "int": (0, zigzag(-(1 << 31))),
        "string-as-bytes": (1, zigzag(1) + text("zoë")),
        "null": (1, zigzag(0)),
        "bytes-as-string": (2, zigzag(2) + text("zoë") + text("") + b"\0"),
        "bytes-not-utf8": (2, zigzag(1) + b"\x02\xff\0"),
        "union": (3, zigzag(3) + text("a") + b"\0\x02" + text("b") + b"\2" + text("s") + text("c") + b"\4\0"),
        "symbol-of-default": (4, zigzag(1)),
        "symbol-unknown": (5, zigzag(0)),
        "list": (6, (node + zigzag(1)) * 5 + node + zigzag(0)),
        "list-long": (6, (node + zigzag(1)) * 70),
        "alias": (7, bytes(4) + zigzag(1) + text("k") + zigzag(9) + b"\0\0abc"),
        "skipped-map-sized": (7, bytes(4) + zigzag(-1) + zigzag(4) + text("k") + zigzag(9) + b"\0\0abc"),
        "record-known": (8, zigzag(0) + zigzag(1 << 53) + zigzag(7)),
        "record-unknown": (8, zigzag(1) + text("s") + zigzag(7)),
    }
    for name, (choice, datum) in resolutions.items():
        put("avro_resolution", name, bytes([choice]) + datum)
    datums = {
        "long": (0, zigzag(-(1 << 62))),
        "long-overlong": (0, b"\x80" * 9 + b"\x01"),
        "option-string": (1, zigzag(1) + text("zoë")),
        "option-null": (1, zigzag(0)),
        "array": (2, zigzag(3) + zigzag(0) + zigzag(1) + zigzag(9) + zigzag(2) + text("t") + b"\0"),
        "array-map": (2, zigzag(1) + zigzag(3) + zigzag(1) + text("k") + zigzag(2) + b"\1\2\0\0"),
        "map-sized": (3, zigzag(-1) + zigzag(12) + text("k") + zigzag(1) + struct.pack("<d", 0.5) + b"\0\0"),
        "array-size-wrong": (2, zigzag(-2) + zigzag(5) + zigzag(1) + zigzag(9) + zigzag(0) * 3 + b"\0"),
        "list": (4, zigzag(1) + zigzag(1) + zigzag(2) + zigzag(0)),
        "list-long": (4, b"".join(zigzag(n) + zigzag(1) for n in range(70)) + zigzag(0) * 2),
        "tree": (5, zigzag(2) + zigzag(0) + zigzag(1) + zigzag(0) * 3),
        "tree-deep": (5, zigzag(1) * 80 + zigzag(0) * 80),
        "wide": (6, b"\1" + struct.pack("<f", 1.5) + b"sixsix" + zigzag(2) + text("c") + b"\x02\x7f"),
        "nulls": (7, zigzag(4096) + b"\0"),
        "nulls-many": (7, zigzag(1 << 40) + b"\0"),
        "envelope": (8, envelope),
        "envelope-short": (8, envelope[:-3]),
        "envelope-long": (8, envelope + b"\0"),
        "logical": (9, zigzag(1) + logical + b"\0"),
        "logical-odd": (9, zigzag(-1) + zigzag(len(odd)) + odd + b"\0"),
    }
    for name, (schema, datum) in datums.items():
        put("avro_datum", name, bytes([schema]) + datum)
        put("avro_json", name, bytes([schema]) + datum)
    put("avro_json", "escapes", b"\1" + zigzag(1) + text("\0\x1f\"\\/\n\x7f\u2028\U0001f600"))
    put("avro_json", "not-a-number", b"\3" + zigzag(1) + text("k") + zigzag(1) + b"\0" * 6 + b"\xf8\x7f\0\0")

    texts = {
        "decimal": "-0012.3400",
        "decimal-exponent": "1.5E-9",
        "decimal-large": "9" * 400,
        "decimal-scale": "1e-2147483647",
        "uuid": "00112233-4455-6677-8899-AABBCCDDEEFF",
        "date": "2024-02-29",
        "date-far": "-5877641-06-23",
        "time": "24:00:00",
        "timestamp": "2024-02-29T23:59:59.000001+01:30",
        "timestamp-last": "+292278994-08-17T07:12:55.807Z",
        "local": "1969-12-31 23:59:59.999999999",
    }
    for name, value in texts.items():
        put("avro_text", name, value.encode())

    put("avro_container", "empty", container('"int"', "null", []))
    put("avro_container", "nulls", container('"null"', "null", [b""] * 5))
    put("avro_container", "inflates", container('"bytes"', "deflate", [zigzag(60000) + bytes(60000)]))
    put("avro_container", "unknown-codec", container('"int"', "lizard", [b"\2"]))
    for codec in ["snappy", "zstandard", "bzip2"]:
        put("avro_container", codec, container('"string"', codec, [zigzag(3) + b"abc", zigzag(0)]))
        put("avro_container", f"{codec}-short", container('"string"', codec, [zigzag(3) + b"abc"])[:-30])
    # Sixteen blocks of 128 KiB of zeros, four bytes each, behind a header that claims an exabyte.
    bomb = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 60)
    bomb += b"".join(struct.pack("<I", (1 << 17) << 3 | 2 | (n == 15))[:3] + b"\0" for n in range(16))
    put("avro_container", "zstandard-bomb", container('"bytes"', "zstandard", [b"\0"], bomb))
    bomb = b"\x80\x80\x80\x80\x0f\0a" + bytes(4)
    put("avro_container", "snappy-bomb", container('"bytes"', "snappy", [b"\0"], bomb))
    bomb = bz2.compress(bytes(1 << 21))
    put("avro_container", "bzip2-bomb", container('"bytes"', "bzip2", [b"\0"], bomb))


def container(schema, codec, datums, stored=None):
    entry = lambda key, value: zigzag(len(key)) + key + zigzag(len(value)) + value
    sync = bytes(range(16))
    out = b"Obj\x01" + zigzag(2)
    out += entry(b"avro.schema", schema.encode()) + entry(b"avro.codec", codec.encode()) + b"\0" + sync
    if datums:
        block = stored or compress(codec, b"".join(datums))
        out += zigzag(len(datums)) + zigzag(len(block)) + block + sync
    return out


def compress(codec, block):
    if codec == "deflate":
        deflate = zlib.compressobj(wbits=-15)
        return deflate.compress(block) + deflate.flush()
    if codec == "bzip2":
        return bz2.compress(block)
    # Python has neither of these two; short blocks need no more than a header in front.
    if codec == "snappy":
        literal = bytes([len(block), len(block) - 1 << 2]) + block
        return literal + struct.pack(">I", zlib.crc32(block))
    if codec == "zstandard":
        header = b"\x28\xb5\x2f\xfd\x20" + bytes([len(block)])
        return header + struct.pack("<I", len(block) << 3 | 1)[:3] + block
    return block


def debezium():
    # The columns of the target, by the name of their type; `debezium_model.rs` has the list.
    source = (HERE / "src/debezium_model.rs").read_text()
    start = source.index("let plain = [")
    names = re.findall(r'\("(\w+)", [\d_]+\)', source[start : source.index("];", start)])
    position = {name: index for index, name in enumerate(names)}
    extra = re.findall(r'ColumnDef::new\("(\w+)"', source[source.index("columns.extend") :])
    position |= {name: len(names) + index for index, name in enumerate(extra)}
    value = lambda column, kind, data: bytes([column, kind, len(data)]) + data
    for path in sorted((ROOT / "debezium-model/testdata/scenarios").glob("types_*_default.json")):
        per_type = {}
        for step in json.loads(path.read_text())["steps"]:
            for message in step["messages"]:
                columns = step["tables"].get(message["table"])
                for form, kind in [("after", 0), ("after_binary", 1)]:
                    for column, cell in zip(columns or [], message.get(form) or []):
                        if column["type"] not in position or cell[0] not in "tb":
                            continue
                        data = cell[1].encode() if cell[0] == "t" else bytes.fromhex(cell[1])
                        kept = per_type.setdefault((column["type"], kind), [])
                        if len(data) < 256 and data not in kept and len(kept) < 2:
                            kept.append(data)
        for index in range(2):
            for kind in range(2):
                row = b"".join(
                    value(position[name], kind, values[index])
                    for (name, of), values in sorted(per_type.items())
                    if of == kind and index < len(values)
                )
                name = f"{path.stem}-{index}-{'binary' if kind else 'text'}"
                for mapping in range(4) if index == 0 and kind == 0 else [0]:
                    put("debezium_plan", f"{name}-{mapping}", bytes([mapping]) + row)
    operations = ["insert", "read", "update", "update-key", "update-full", "delete-key", "delete-full", "truncate"]
    for index, name in enumerate(operations):
        row = value(0, 0, b"2") + value(0, 0x80, b"1") + value(15, 2, b"") + value(16, 0, b"x")
        put("debezium_plan", f"operation-{name}", bytes([index << 3]) + row)
        put("debezium_plan", f"operation-{name}-unwrapped", bytes([index << 3 | 6]) + row)
    odd = {
        "numeric": [b"NaN", b"Infinity", b"-0.00", b"1e5", b"123456789012345678901234567890.5", b""],
        "timestamp": [b"infinity", b"-infinity", b"294276-12-31 23:59:59.999999", b"4713-01-01 00:00:00 BC"],
        "timestamptz": [b"2024-05-06 07:08:09.123456+05:30:15", b"infinity"],
        "date": [b"infinity", b"5874897-12-31", b"0001-01-01 BC"],
        "timetz": [b"24:00:00+15:59:59"],
        "interval": [b"1 year 2 mons -3 days -04:05:06.7", b"P1Y2M3DT4H"],
        "hstore": [b'"a"=>"1", "b"=>NULL', b'a=>"\\"'],
        "_text": [b'{a,"b\\"c",NULL,"NULL"}', b"{{1,2},{3,4}}", b"[2:3]={1,2}", b"{"],
        "point": [b"(1.5,-Infinity)"],
        "inet": [b"::ffff:10.0.0.1/96", b"192.168.0.1"],
        "money": [b"-$1,234.56"],
        "bytea": [b"\\x00ff", b"\\x0", b"\\000abc"],
        "bit_12": [b"101010101010", b"2"],
        "level": [b"low", b"other"],
        "price": [b"-12.345"],
    }
    for name, values in odd.items():
        for index, data in enumerate(values):
            put("debezium_plan", f"odd-{name}-{index}", b"\0" + value(position[name], 0, data))

    kept = {}
    for path in sorted((ROOT / "debezium-model/testdata/scenarios").glob("*.json")):
        for step in json.loads(path.read_text())["steps"]:
            for columns in step["tables"].values():
                for column in columns:
                    if column.get("default") and column["type"] in position:
                        kept.setdefault(column["default"], position[column["type"]])
    for index, (expression, column) in enumerate(sorted(kept.items())[:60]):
        put("debezium_default", f"scenario-{index:02}", bytes([column]) + expression.encode())


def registry():
    body = lambda value: json.dumps(value).encode()
    guid = "8f2c2d1e-00ff-4abc-9def-0123456789ab"
    answers = {
        "schema": (200, b"", body({"schema": '"long"'})),
        "subject-version": (200, b"", body({"subject": "s", "version": 3, "id": 9, "schema": '"long"',
            "schemaType": "JSON", "references": [{"name": "n", "subject": "t", "version": 1}]})),
        "id": (200, b"", body({"id": 7})),
        "id-too-large": (200, b"", body({"id": 1 << 32, "version": -1})),
        "versions": (200, b"", b"[1,2,3]"),
        "subjects": (200, b"", b'["a","b/c"]'),
        "compatible": (200, b"", body({"is_compatible": False, "messages": ["x", "y"]})),
        "not-found": (404, b"", body({"error_code": 40403, "message": "Schema not found"})),
        "incompatible": (409, b"", body({"error_code": 409, "message": "no"})),
        "invalid": (422, b"", body({"error_code": 42201, "message": "no"})),
        "busy-seconds": (429, b"120", b""),
        "busy-date": (503, b"Wed, 21 Oct 2026 07:28:00 GMT", b"<html>"),
        "busy-nonsense": (503, b"99999999999999999999", b""),
        "empty": (204, b"", b""),
        "redirect": (302, b"", b""),
        "unauthorized": (401, b"", b'{"error_code":"x"}'),
        "deep": (200, b"", b"[" * 200),
        "apicurio": (404, b"", body({"message": "No", "error_code": 404, "detail": "x", "name": "E"})),
        "registration": (200, b"", body({"id": 7, "guid": guid, "version": 2, "schema": '"long"',
            "metadata": {"tags": {"**.a": ["PII"]}, "properties": {"k": "v"}, "sensitive": ["k"]},
            "ruleSet": {"domainRules": [{"name": "r", "kind": "CONDITION", "type": "CEL",
                "mode": "WRITE", "expr": "true", "later": 1.50}]}})),
        "metadata": (200, b"", b'{"properties":{"k":"v"},"tags":null,"n":1.00e400}'),
        "rule-set": (200, b"", b'{"migrationRules":[{"name":"m","disabled":true}],"n":[1]}'),
        "guid": (200, b"", guid.encode()),
        "settings": (200, b"", body({"compatibilityLevel": "FULL", "alias": "t", "normalize": True,
            "defaultRuleSet": {"domainRules": []}, "overrideMetadata": {"properties": {}}})),
        "level-only": (200, b"", b'"NONE"'),
        "mode": (200, b"", body({"mode": "READWRITE"})),
        "schemas": (200, b"", body([{"subject": ":.x:s", "version": 1, "id": 2, "schema": "{}"}])),
        "contexts": (200, b"", b'[".",":.x:",".y"]'),
        "ids-in-contexts": (200, b"", body([{"context": ".x", "id": 3}, {"id": 4}])),
        "associations": (200, b"", body([{"subject": "s", "associationType": "value"}])),
        "server-version": (200, b"", body({"version": "8.1.0", "commitId": "x"})),
        "server-id": (200, b"", body({"id": "", "scope": {"path": [], "clusters": {
            "kafka-cluster": "k", "schema-registry-cluster": "r"}}})),
        "version": (200, b"", b"4"),
        "html": (200, b"", b"<!doctype html><html>"),
    }
    for name, (status, after, data) in answers.items():
        put("registry_response", name, struct.pack(">HB", status, len(after)) + after + data)

    record = '{"type":"record","name":"R","fields":[{"name":"a","type":"long"},{"name":"b","type":["null","string"]}]}'
    circle = [{"name": "R", "subject": "s", "version": 1}]
    for name, answer, message in [
        ("record-by-id", {"schema": record}, b"\0\0\0\0\x07\x2a\x02\x02x"),
        ("record-by-guid", {"schema": record}, b"\x01" + bytes(16) + b"\x2a\0"),
        ("datum-cut-off", {"schema": record}, b"\0\0\0\0\x07\x2a\x02"),
        ("circle", {"id": 7, "schema": '"R"', "references": circle}, b"\0\0\0\0\x07\x2a"),
        ("protobuf", {"schema": "syntax", "schemaType": "PROTOBUF"}, b"\0\0\0\0\x07\0"),
        ("no-schema", {"schema": "{}"}, b"\0\0\0\0\x07\0"),
        ("no-answer", [], b"\0\0\0\0\x07\0"),
        ("no-framing", {"schema": '"long"'}, b"\x2a"),
    ]:
        put("registry_serde", name, chunk(body(answer)) + message)


def partitioner():
    for case in lines("s3-partitioner/testdata/time_partition.jsonl")[::6]:
        config = case["config"]
        if "path.format" not in config:
            continue
        time = case["record"].get("timestamp") or 0
        text = "\n".join([config["path.format"], config.get("timezone", "UTC"),
            config.get("locale", "en"), config.get("directory.delim", "/")])
        span = max(0, min(int(config.get("partition.duration.ms", 1)), 0xFFFFFFFF))
        put("s3_pattern", case["id"], struct.pack(">qI", time, span) + text.encode())
    for case in lines("s3-partitioner/testdata/timestamp_extract.jsonl"):
        value = case["record"].get("value")
        value = value.get("ts") if isinstance(value, dict) else None
        if isinstance(value, str):
            put("s3_timestamp", case["id"], value.encode())
    for name, text in {"parents": "a/../..", "nul": "\0\x7f", "hive": "\"#%'*/:=?\\{[]^", "crab": "\U0001f980/"}.items():
        put("s3_timestamp", name, text.encode())
    metadata = {
        "none": "", "end": '{"end":828}', "end-before": '{"end":7}', "end-most": '{"end":9223372036854775807}',
        "end-least": '{"end":-9223372036854775808}', "overflow": '{"end":9223372036854775808}',
        "foreign": "consumer-1", "spaces": '{ "end": 828 }', "brace": '{"end":}',
        "clock": '{"end":828,"clock":[[800,1709622489123],[815,-5]]}', "clock-late": '{"end":828,"clock":[[829,5]]}',
        "clock-none": '{"end":828,"clock":[]}', "clock-far": '{"end":828,"clock":[[800,-9223372036854775808]]}',
    }
    for name, text in metadata.items():
        put("s3_commit", name, struct.pack(">q", 800) + text.encode())
    put("s3_commit", "offset-most", struct.pack(">q", (1 << 63) - 1) + b'{"end":9223372036854775807}')


def msk():
    for case in lines("msk-iam-auth/testdata/region_from_host.jsonl")[::3]:
        put("msk_region", case["id"], case["host"].encode())
    for case in lines("msk-iam-auth/testdata/server_response.jsonl"):
        data = case["bytes"]
        put("msk_reply", case["id"], data.encode("utf-8", "surrogatepass"))
    for case in lines("msk-iam-auth/testdata/oauthbearer.jsonl")[::40]:
        for signer, made in case["signers"].items():
            put("msk_token", f"{case['id']}-{signer}", made["token"].encode())
        put("msk_token", f"{case['id']}-url", case["canonical_url"].encode())
    for case in lines("msk-iam-auth/testdata/verifier_cases.jsonl"):
        put("msk_token", case["id"], case["url"].encode())
    more = {
        "surrogates": b'{"version":"2020_10_22","request-id":"\\ud83d\\ude00"}',
        "surrogate-alone": b'{"version":"2020_10_22","request-id":"\\ud83d"}',
        "deep": b'{"x":' + b"[" * 300 + b"]" * 300 + b"}",
        "numbers": b'{"a":-1.5e+10,"b":true,"c":null,"version":"2020_10_22"}',
        "latin": b'{"version":"2020_10_22","request-id":"\xe9"}',
    }
    for name, data in more.items():
        put("msk_reply", name, data)


for part in [pgoutput, avro, debezium, registry, partitioner, msk]:
    part()
