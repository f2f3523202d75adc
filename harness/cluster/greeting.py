"""Whether the head of a cluster would have us: asked before Ray does, which tries for half a minute and says little."""

import os
from contextlib import suppress
from pathlib import Path

import grpc
import ray
from ray.core.generated.gcs_service_pb2 import CheckAliveRequest
from ray.core.generated.gcs_service_pb2_grpc import NodeInfoGcsServiceStub

ANSWER_SECONDS = 5.0

TOKEN = Path("~/.ray/auth_token")
COPY_TOKEN = f"set RAY_AUTH_MODE=token, and copy {TOKEN} from its head"


def find_refusal(address: str) -> str | None:
    """Why Ray cannot work with the head at an address, HOST:PORT, and the fix; None where it can."""
    from ray._private.grpc_utils import init_grpc_channel

    keep_token()
    try:
        with init_grpc_channel(address) as channel:
            reply = NodeInfoGcsServiceStub(channel).CheckAlive(CheckAliveRequest(), timeout=ANSWER_SECONDS)
    except grpc.RpcError as error:
        match error.code():
            case grpc.StatusCode.UNAUTHENTICATED:
                return describe_token()
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return f"what listens there has not answered for {ANSWER_SECONDS:.0f} s; see whether its head runs"
            case _:
                return (
                    "what listens there is no head of a Ray cluster; give the address that `ray start --head` printed"
                )
    except ray.exceptions.AuthenticationError:  # of our own token, which it cannot find
        return describe_token()
    if reply.ray_version != ray.__version__:
        return (
            f"its cluster runs Ray {reply.ray_version}, and this machine {ray.__version__}; install the same here with "
            f"`pip install ray=={reply.ray_version}`"
        )
    return None


def describe_token() -> str:
    """What is wrong with the token that this process shows to a cluster which refuses it, and the fix."""
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return f"the cluster wants a token; {COPY_TOKEN}"
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or TOKEN)
    if not os.environ.get("RAY_AUTH_TOKEN") and not path.expanduser().is_file():
        return f"the cluster wants a token, and {path} is no file that has it; {COPY_TOKEN}"
    return f"the cluster wants another token; {COPY_TOKEN}"


def keep_token() -> None:
    """Let nobody else read the user's token, which Ray stores for all to read: it lets its owner run code there."""
    with suppress(OSError, RuntimeError):  # a user without a home has none
        path = TOKEN.expanduser()
        if path.stat().st_uid == os.getuid():
            path.chmod(0o600)
