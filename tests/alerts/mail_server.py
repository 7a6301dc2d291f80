"""A mail server on the loopback that takes mail, or does not."""

import socketserver
import threading
from email import message_from_bytes
from email.message import Message
from typing import Self


class MailServer:
    """Takes mail until closed. `refuses` is what it greets clients with instead; `unknown` are recipients that it rejects."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Message]] = []
        self.refuses = ""
        self.unknown: set[str] = set()
        self.greeted = 0
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                server.serve(self)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def serve(self, client: socketserver.StreamRequestHandler) -> None:
        def say(line: str) -> None:
            client.wfile.write(f"{line}\r\n".encode())

        self.greeted += 1
        if self.refuses:
            say(self.refuses)
            return
        say("220 mail.example ESMTP")
        recipient = ""
        while line := client.rfile.readline().decode().strip():
            verb = line.split()[0].upper()
            if verb == "RCPT":
                recipient = line.partition("<")[2].partition(">")[0]
                say("550 5.1.1 no such mailbox" if recipient in self.unknown else "250 ok")
            elif verb == "DATA":
                say("354 go on")
                content = b""
                while (part := client.rfile.readline()) != b".\r\n":
                    content += part
                self.got.append((recipient, message_from_bytes(content)))
                say("250 ok")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.shutdown()
        self.server.server_close()
