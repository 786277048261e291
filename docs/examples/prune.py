"""Prunes a model, follows the run, and lets the result write, with the package gql.

    pip install "gql[requests,websockets]"
    python docs/examples/prune.py [URL] [TOKEN]
"""

import sys

from gql import Client, gql
from gql.transport.requests import RequestsHTTPTransport
from gql.transport.websockets import WebsocketsTransport

url = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:4000/graphql"
token = sys.argv[2] if len(sys.argv) > 2 else None
authorization = {"authorization": f"Bearer {token}"} if token else {}

http = Client(transport=RequestsHTTPTransport(url=url, headers=authorization))
socket = Client(
    transport=WebsocketsTransport(
        url=url.replace("http", "ws", 1),
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        init_payload=authorization,
    )
)


def ask(query: str, **variables):
    request = gql(query)
    request.variable_values = variables
    return http.execute(request)


def follow(query: str, **variables):
    request = gql(query)
    request.variable_values = variables
    return socket.subscribe(request)


model = ask('mutation { registerModel(input: { source: { path: "ahab" } }) { model { id parameterCount } } }')["registerModel"]["model"]
print(f"{model['id']}: {model['parameterCount']} parameters")

run = ask(
    "mutation ($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }",
    input={
        "subject": {"modelId": model["id"]},
        "dataset": {"name": "literature-train"},
        "options": {"targetRatio": 0.15, "samples": 4},
    },
)["startPruning"]["run"]

child = None
for event in follow(
    """subscription ($runId: ID!) {
      runProgress(runId: $runId) {
        __typename
        sequence
        ... on PruningIterationCompleted { iteration removedRatio }
        ... on PruningSucceeded { removedRatio resultModel { id } }
        ... on RunFailed { error { code message } }
      }
    }""",
    runId=run["id"],
):
    progress = event["runProgress"]
    print(progress)
    child = progress.get("resultModel") or child
if child is None:
    sys.exit("the run did not succeed")

for event in follow(
    "subscription ($input: GenerateInput!) { generate(input: $input) { ... on GenerationDelta { text } } }",
    input={"modelId": child["id"], "prompt": {"text": "The white whale"}, "maxTokens": 20},
):
    print(event["generate"].get("text", ""), end="", flush=True)
print()
