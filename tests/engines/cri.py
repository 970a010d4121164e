"""One call of the container runtime interface, as kubelet makes it: cri.py FOLDER METHOD REQUEST

FOLDER has the code that protoc made of cri.proto, REQUEST is JSON; so is the answer. A refusal goes to standard error.
"""

import sys

import grpc
from google.protobuf import json_format

folder, method, request = sys.argv[1:]
sys.path.insert(0, folder)
import cri_pb2  # noqa: E402

request = json_format.Parse(request, getattr(cri_pb2, method + "Request")())
answer = getattr(cri_pb2, method + "Response")
with grpc.insecure_channel("unix:///run/containerd/containerd.sock") as channel:
    call = channel.unary_unary(
        f"/runtime.v1.RuntimeService/{method}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString,
    )
    try:
        print(json_format.MessageToJson(call(request, timeout=90), preserving_proto_field_name=True))
    except grpc.RpcError as error:
        sys.exit(f"{error.code().name}: {error.details()}")
