#!/usr/bin/env bash
# The daemon under ThreadSanitizer: two threads, epoll (its sync thread too), load with merges, and every kind of admin
# call meanwhile: stats, questions, definitions, snapshots, subscribers, tails; then kill -9 and a start, which replays the
# logs of both threads at once. Any report is a failure.
# usage: tests/e2e/tsan.sh [BUILD [SECONDS]]     ends with `N passed, N failed`
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
build=${1:-build/tsan} seconds=${2:-20}
[ -f "$build/build.ninja" ] || cmake --preset tsan -B "$build" >/dev/null || exit
ninja -C "$build" hourglassd hourglass hourglass-load >/dev/null || { echo "$build does not build"; exit 1; }
home=$(mktemp -d "${HOURGLASS_TEST_DIR:-/tmp}/hg-tsan-XXXXXX")
cleanup() { [ -n "${daemon:-}" ] && kill -9 "$daemon" 2>/dev/null; rm -rf "$home"; }
trap cleanup EXIT
export TSAN_OPTIONS="halt_on_error=0 exitcode=66 log_path=$home/report"
export HOURGLASS_ADMIN="unix://$home/admin.sock"
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
call() { "$build/hourglass" call "$@" >/dev/null 2>>"$home/calls"; }

start() {
    "$build/hourglassd" --data "$home/data" --definitions tools/demo-data/definitions --shards 2 --io epoll --log-segment 4MiB \
        --snapshot-every 8MiB --ingest "tcp://127.0.0.1:$port" --admin "unix://$home/admin.sock" >"$home/out" 2>>"$home/err" &
    daemon=$!
    for _ in $(seq 600); do grep -q '^ready' "$home/out" && return; sleep 0.1; done
    cat "$home/err"
    echo '0 passed, 1 failed'
    exit 1
}
start

"$build/hourglass-load" --ingest "tcp://127.0.0.1:$port" --rate 1000 --users 1000 --shape pairs --conns 8 \
    --duration "$seconds" --json >"$home/load" 2>&1 &
load=$! code=0
timeout "$seconds" "$build/hourglass" tail events >/dev/null 2>&1 &
timeout "$seconds" "$build/hourglass" tail transitions >/dev/null 2>&1 &
end=$((SECONDS + seconds))

# One after the other; a person is u and eleven digits (hourglass-load).
ask() {
    local n=0 person
    while [ $SECONDS -lt $end ]; do
        n=$((n + 1))
        person=$(printf 'u%011d' "$n")
        call stats.get
        call segment.list
        call journey.list
        call profile.get "{\"id\": \"$person\"}"
        call actions.queue '{"limit": 10}'
        call query.count '{"expression": "count(\"Order Completed\") > 0"}'
        call sys.state_hash
    done
    echo "$n" >"$home/asked"
}
change() {
    local n=0 person
    while [ $SECONDS -lt $end ]; do
        n=$((n + 1))
        person=$(printf 'u%011d' "$n")
        call journey.control "{\"command\": \"enroll\", \"name\": \"welcome\", \"id\": \"$person\", \"request_id\": \"$n\"}"
        [ $((n % 3)) -ne 0 ] || call definitions.apply "{\"files\": {\"a.yaml\": \"events: {Order Completed: {keep: ${n}d, properties: {total: number}}}\"}}"
        [ $((n % 4)) -ne 0 ] || call snapshot.start
        [ $((n % 5)) -ne 0 ] || kill -HUP "$daemon"
        sleep 0.1
    done
    echo "$n" >"$home/changed"
}
ask &
asking=$!
change &
wait $! $asking
wait "$load"
kill -9 "$daemon"
wait "$daemon" 2>/dev/null
start
grep -q 'event=recovered .* records=[1-9]' "$home/err" || { echo 'nothing was replayed'; code=1; }
kill -TERM "$daemon"
wait "$daemon" || code=$?
daemon=
grep -q '"acked": *[1-9]' "$home/load" || { echo 'nothing was acknowledged'; cat "$home/load"; code=1; }
reports=$(cat "$home"/report.* 2>/dev/null | grep -c 'WARNING: ThreadSanitizer')
[ "$reports" -eq 0 ] || cat "$home"/report.* | head -200
echo "$(cat "$home/asked") rounds of questions, $(cat "$home/changed") of changes, exit $code, $reports reports"
if [ "$code" -eq 0 ] && [ "$reports" -eq 0 ]; then echo '1 passed, 0 failed'; else
    tail -5 "$home/err"
    echo '0 passed, 1 failed'
    exit 1
fi
