#!/usr/bin/env bash
# make test-containers: an engine, what it lacks, the composition, the engines' tests on containers; the time of each stage at the end.
#
#   PYTHON=.venv/bin/python tests/containers/run.sh FOLDER [arguments of both pytest runs]
set -uo pipefail
folder=$1
shift
stages=()
status=0

stage() {
    local name=$1 began=$SECONDS outcome=passed
    shift
    [ $status = 0 ] || return
    printf '\n== %s\n' "$name"
    "$@" || { status=$?; outcome=failed; }
    stages+=("$(printf '%6d s  %s: %s' $((SECONDS - began)) "$name" "$outcome")")
}

engine() {
    local variables
    variables=$(tests/containers/engine.sh "$folder") && eval "$variables"
}

stage "engine, docker compose and base image" engine
stage "images that are missing" "$PYTHON" -m tests.containers.build
stage "the composition" "$PYTHON" -m pytest -q -s --durations=0 --durations-min=1 -o 'norecursedirs=.*' tests/containers "$@"
RADSTREAM_TEST_SERVERS=containers stage "the engines' tests, on containers" \
    "$PYTHON" -m pytest -q -m servers tests/integration "$@"
tests/containers/engine.sh --stop "$folder"
printf '\n'
printf '%s\n' "${stages[@]}"
exit $status
