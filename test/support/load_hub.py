"""Reads a repository by huggingface_hub, as `hf download`, transformers and vLLM do; prints what it finds as JSON to standard output.

Standard input: JSON of { endpoint, repository, token, file }; token may be null.
"""

import hashlib
import json
import os
import pathlib
import sys
import tempfile

asked = json.load(sys.stdin)
os.environ["HF_ENDPOINT"] = asked["endpoint"]

import huggingface_hub as hub  # noqa: E402

repository, token, file = asked["repository"], asked["token"] or False, asked["file"]


def digests(folder: str) -> dict:
    paths = [path for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file() and ".cache" not in path.parts]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def index() -> str:
    """vLLM asks for an index of safetensors first, which only some models have."""
    try:
        with tempfile.TemporaryDirectory() as cache:
            hub.hf_hub_download(repository, "model.safetensors.index.json", token=token, cache_dir=cache, revision="main")
        return "there"
    except hub.errors.EntryNotFoundError:
        return "absent"


try:
    api = hub.HfApi(endpoint=asked["endpoint"], token=token)
    files = hub.HfFileSystem(endpoint=asked["endpoint"], token=token)
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as local:
        whole = digests(hub.snapshot_download(repository, token=token, cache_dir=cache))
        some = digests(hub.snapshot_download(repository, token=token, local_dir=local, allow_patterns=["*.json"]))
    with files.open(f"{repository}/{file}", "rb") as opened:
        opened.seek(5)
        piece = opened.read(20)
    refs = api.list_repo_refs(repository)
    found = {
        "sha": api.model_info(repository).sha,
        "branches": [[branch.name, branch.target_commit] for branch in refs.branches],
        "files": sorted(api.list_repo_files(repository)),
        "tree": sorted(entry.path for entry in api.list_repo_tree(repository, recursive=True)),
        "paths": sorted([entry.path, getattr(entry, "size", None)] for entry in api.get_paths_info(repository, [file, "nothing.bin"])),
        "exists": [api.file_exists(repository, file), api.file_exists(repository, "nothing.bin"), api.repo_exists("espalier/nothing-0000000000")],
        "globbed": sorted(files.glob(f"{repository}/**/*.json")),
        "listed": sorted(files.ls(repository, detail=False, revision="main")),
        "index": index(),
        "size": files.info(f"{repository}/{file}")["size"],
        "piece": piece.hex(),
        "whole": whole,
        "some": sorted(some),
    }
except hub.errors.HfHubHTTPError as error:
    found = {"refused": type(error).__name__, "status": error.response.status_code}
json.dump(found, sys.stdout)
