# An OTLP/HTTP receiver with OpenTelemetry's own messages: port, output file, and what it shall do wrong.
import http.server
import json
import ssl
import sys

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as service

port, out, words = int(sys.argv[1]), open(sys.argv[2], "ab", buffering=0), sys.argv[3:]
count = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        global count
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/v1/logs" or self.headers["Content-Type"] != "application/x-protobuf":
            return self.answer(404)
        request = service.ExportLogsServiceRequest.FromString(body)
        if not request.resource_logs or not request.resource_logs[0].scope_logs[0].log_records:
            return self.answer(200)
        count += 1
        if "busy" in words and count <= 3:
            return self.answer((429, 503, 502)[count - 1], headers=[("Retry-After", "0")])
        if "chunked" in words:
            self.store(request)
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            return self.wfile.write(b"0\r\n\r\n")
        if "partial" in words and count == 1:
            response = service.ExportLogsServiceResponse()
            response.partial_success.rejected_log_records = 3
            response.partial_success.error_message = "too old"
            return self.answer(200, response.SerializeToString())
        if "bad" in words and count == 1:
            return self.answer(400, b"no")
        self.store(request)
        self.answer(200)

    def store(self, request):
        lines = []
        for resource in request.resource_logs:
            about = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_logs:
                assert scope.scope.name == "cofferdam", scope.scope
                for record in scope.log_records:
                    attributes = {a.key: a.value for a in record.attributes}
                    seq = attributes["cofferdam.seq"].int_value if "cofferdam.seq" in attributes else 0
                    kind = record.body.WhichOneof("value")
                    text = record.body.string_value if kind == "string_value" else record.body.bytes_value.hex()
                    if "whole" in words:
                        text = json.dumps({
                            "about": about, "kind": kind, "text": text, "severity": record.severity_number,
                            "time": record.time_unix_nano, "stream": attributes["log.iostream"].string_value,
                            "uid": attributes["log.record.uid"].string_value,
                        }, sort_keys=True)
                    lines.append(f"{seq} {text}\n")
        out.write("".join(lines).encode())

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", port), Handler)
if words[:1] == ["tls"]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(words[1], words[2])
    context.load_verify_locations(words[3])
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
