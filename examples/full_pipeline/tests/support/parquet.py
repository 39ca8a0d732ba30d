"""Reads Parquet files with pyarrow, and compares them with Avro files of the same records."""

import datetime, decimal, glob, json, sys, uuid

import fastavro
import pyarrow.compute as pc
import pyarrow.parquet as pq


def same(value):
    """What both libraries can be compared by."""
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, dict):
        return {name: same(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [same(item) for item in value]
    return value


PYTHON = {"string": str, "long": int, "array": list, "record": dict}


def as_parquet(value, schema):
    """A value of Avro as Parquet has it: unions are groups of members, maps are pairs."""
    if isinstance(schema, list):
        others = [branch for branch in schema if branch != "null"]
        if value is None or len(others) == 1:
            return None if value is None else as_parquet(value, others[0])
        kind = lambda branch: branch["type"] if isinstance(branch, dict) else branch
        return {
            f"member{number}": as_parquet(value, branch)
            if isinstance(value, PYTHON[kind(branch)])
            else None
            for number, branch in enumerate(others)
        }
    kind = schema["type"] if isinstance(schema, dict) else schema
    if value is None or not isinstance(schema, dict):
        return value
    if kind == "enum":
        # pyarrow does not look at this meaning of bytes.
        return value.encode()
    if kind == "record":
        return {f["name"]: as_parquet(value[f["name"]], f["type"]) for f in schema["fields"]}
    if kind == "array":
        return [as_parquet(item, schema["items"]) for item in value]
    if kind == "map":
        return [(key, as_parquet(item, schema["values"])) for key, item in value.items()]
    return value


def bounds(file):
    """The footer's least and greatest values are those of the columns; gives how many there were."""
    checked = 0
    for number in range(file.num_row_groups):
        group, data = file.metadata.row_group(number), file.read_row_group(number)
        columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
        for name in data.column_names:
            meta, values = columns.get(name), data.column(name)
            if meta is None:
                continue
            assert meta.statistics.null_count == values.null_count, name
            if meta.statistics.has_min_max:
                real = pc.min_max(values).as_py()
                stated = {"min": meta.statistics.min, "max": meta.statistics.max}
                assert same(stated) == same(real), (name, stated, real)
                checked += 1
    return checked


def compare(avro, parquet):
    with open(avro, "rb") as file:
        reader = fastavro.reader(file)
        schema = json.loads(reader.metadata["avro.schema"])
        rows = [same(as_parquet(row, schema)) for row in reader]
    file = pq.ParquetFile(parquet)
    read = [same(row) for row in file.read().to_pylist()]
    for number, (one, other) in enumerate(zip(rows, read, strict=True)):
        # The text, so that what is no number is equal to itself.
        assert repr(one) == repr(other), f"{parquet} row {number}:\n{one!r}\n{other!r}"
    return len(rows), file.num_row_groups, bounds(file)


def main():
    if sys.argv[1] == "compare":
        total = [0, 0, 0]
        avro, parquet = (sorted(glob.glob(f"{folder}/**/*.*", recursive=True)) for folder in sys.argv[2:4])
        for pair in zip(avro, parquet, strict=True):
            total = [sum(both) for both in zip(total, compare(*pair))]
        print(*total)
    elif sys.argv[1] == "schema":
        file = pq.ParquetFile(sys.argv[2])
        print(file.schema, file.metadata.row_group(0).column(0).compression)
    elif sys.argv[1] == "rows":
        for row in pq.ParquetFile(sys.argv[2]).read().to_pylist():
            print(json.dumps(same(row)))
    elif sys.argv[1] == "count":
        files = glob.glob(f"{sys.argv[2]}/**/*.parquet", recursive=True)
        print(sum(pq.ParquetFile(path).metadata.num_rows for path in files))
    elif sys.argv[1] == "ids":
        # One file for each line that comes.
        for path in sys.stdin:
            print(json.dumps(pq.ParquetFile(path.strip()).read()["id"].to_pylist()), flush=True)


if __name__ == "__main__":
    main()
