#!/bin/sh
# Prunes a model, follows the run, and lets the result write: curl and sed alone.
#
#     sh docs/examples/prune.sh [URL] [TOKEN]
set -eu
url=${1:-http://localhost:4000/graphql}
token=${2:-}

# ask QUERY [HEADER...]: an operation, over HTTP.
ask() {
  query=$1
  shift
  curl -sSN "$url" -H 'content-type: application/json' ${token:+-H "authorization: Bearer $token"} "$@" --data "{\"query\":\"$query\"}"
}
# The first id in an answer; without one the answer is an error, and is shown.
id_in() { sed -n 's/.*"id":"\([^"]*\)".*/\1/p' | head -n 1; }
id_of() {
  answer=$(ask "$1")
  id=$(printf '%s' "$answer" | id_in)
  [ -n "$id" ] || { printf '%s\n' "$answer" >&2; exit 1; }
  printf '%s' "$id"
}

model=$(id_of 'mutation { registerModel(input: { source: { path: \"ahab\" } }) { model { id } } }')
echo "model $model"

run=$(id_of "mutation { startPruning(input: { subject: { modelId: \\\"$model\\\" }, dataset: { name: \\\"literature-train\\\" }, options: { targetRatio: 0.15, samples: 4 } }) { run { id } } }")
echo "run $run"

# Server-sent events: the stream ends when the run does.
ask "subscription { runProgress(runId: \\\"$run\\\") { sequence ... on PruningIterationCompleted { removedRatio } ... on RunFailed { error { code message } } } }" \
  -H 'accept: text/event-stream'

child=$(ask "{ pruningRun(id: \\\"$run\\\") { resultModel { id } } }" | id_in)
ask "mutation { generate(input: { modelId: \\\"$child\\\", prompt: { text: \\\"The white whale\\\" }, maxTokens: 20 }) { text } }"
echo
