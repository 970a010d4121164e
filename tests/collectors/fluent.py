# A receiver of fluentd's forward protocol on PyPI's msgpack: port and output file.
import json
import socketserver
import sys

import msgpack

port, out = int(sys.argv[1]), open(sys.argv[2], "ab", buffering=0)


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
        while data := self.request.recv(65536):
            unpacker.feed(data)
            for tag, entries, option in unpacker:
                assert tag == "cofferdam.c0ffee", tag
                assert isinstance(option["chunk"], str) and option["size"] == len(entries), option
                lines = []
                for time, record in entries:
                    assert isinstance(time, msgpack.ExtType) and time.code == 0 and len(time.data) == 8, time
                    text = record["log"]
                    if isinstance(text, bytes):
                        text = "hex:" + text.hex()
                    assert record["container_id"] == "c0ffee" and record["launch"] == "launch-1", record
                    lines.append(f"{record['seq']} {text}\n")
                out.write("".join(lines).encode())
                self.request.sendall(msgpack.packb({"ack": option["chunk"]}))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("127.0.0.1", port), Handler).serve_forever()
