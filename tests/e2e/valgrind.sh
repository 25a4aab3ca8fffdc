#!/usr/bin/env bash
# The daemon under valgrind for a short while: start, events with merges, questions, a snapshot, stop; twice more, from a
# snapshot and from a log. Reads of
# memory never written are what only valgrind sees. (libc's allocator, since valgrind must see each allocation; epoll, since
# valgrind does not know all of io_uring; tiny limits, since it has no room for the address space of large ones. It reports a processor of its own, so that only what it knows is dispatched to.)
# usage: tests/e2e/valgrind.sh [BUILD]     ends with `N passed, N failed`
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
build=${1:-build/valgrind}
cmake --preset quick -B "$build" -DHG_LIBC_MALLOC=ON -DHG_TINY=ON -DHG_TESTS=OFF >/dev/null && ninja -C "$build" hourglassd hourglass hourglass-load >/dev/null ||
    { echo "$build does not build"; exit 1; }
home=$(mktemp -d "${HOURGLASS_TEST_DIR:-/tmp}/hg-valgrind-XXXXXX")
cleanup() { [ -n "${daemon:-}" ] && kill -9 "$daemon" 2>/dev/null; rm -rf "$home"; }
trap cleanup EXIT
export HOURGLASS_ADMIN="unix://$home/admin.sock"
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
failed=0 passed=0

start() {
    valgrind --quiet --fair-sched=yes --error-exitcode=99 --exit-on-first-error=no --leak-check=full --show-leak-kinds=definite --log-file="$home/valgrind.%p" \
        "$build/hourglassd" --data "$home/data" --definitions tools/demo-data/definitions --shards 2 --io epoll \
        --ingest "tcp://127.0.0.1:$port" --admin "unix://$home/admin.sock" >"$home/out" 2>"$home/err" &
    daemon=$!
    for _ in $(seq 1200); do
        grep -q '^ready' "$home/out" && return 0
        kill -0 "$daemon" 2>/dev/null || break
        sleep 0.1
    done
    echo 'it did not become ready'
    tail -5 "$home/err"
    return 1
}
stop() { # TERM, and valgrind's verdict
    local code=0
    kill -TERM "$daemon"
    wait "$daemon" || code=$?
    daemon=
    if [ $code -eq 0 ]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "ended with $code"
        cat "$home"/valgrind.* | head -80
    fi
}

load() {
    timeout 60 "$build/hourglass-load" --ingest "tcp://127.0.0.1:$port" --rate 50 --users 100 --shape pairs --conns 2 --duration 5 --json >"$home/load" 2>&1
    grep -q '"acked": *[1-9]' "$home/load" || { echo 'nothing was acknowledged'; cat "$home/load"; failed=$((failed + 1)); }
}

if start; then
    load
    for method in stats.get segment.list journey.list sys.state_hash snapshot.start; do
        "$build/hourglass" call $method >/dev/null || failed=$((failed + 1))
    done
    stop
else failed=$((failed + 1)); fi
# From its snapshot; then killed, so that the next one has a log to replay, too.
if start; then
    load
    kill -9 "$daemon"
    wait "$daemon" 2>/dev/null
    if start; then
        "$build/hourglass" call sys.state_hash >/dev/null || failed=$((failed + 1))
        stop
    else failed=$((failed + 1)); fi
else failed=$((failed + 1)); fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
