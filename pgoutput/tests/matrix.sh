#!/bin/sh
# Runs the live tests on one server version after the other: matrix.sh [major...], all from 14 to 18
# if none is given. Servers that are not there are fetched by scripts/fetch-postgres.
set -eu
cd "$(dirname "$0")/../.."
servers=$(scripts/fetch-postgres --tls "$@")
echo "$servers" | while read -r major programs; do
    echo "== PostgreSQL $major"
    PG_BIN=$programs cargo test -q -p pgoutput-wire --all-features \
        --test live_connect --test live_follow --test live_hosts --test live_protocols \
        --test live_stream --test live_values </dev/null
done
