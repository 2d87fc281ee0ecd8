"""Reads lists and watches with Python's HTTP clients, and says what each of them saw.

python3 client.py CLIENT URL [CA], where CLIENT is one of http.client, urllib, h11, aiohttp, httpx.
One line for each case: its name, what was counted, and for a watch whether it came in time.
"""

import asyncio
import gzip
import http.client
import json
import socket
import ssl
import sys
import time
import urllib.parse
import urllib.request
import zlib

CLIENT, BASE = sys.argv[1], sys.argv[2]
CA = sys.argv[3] if 3 < len(sys.argv) else None
URL = urllib.parse.urlsplit(BASE)
TLS = ssl.create_default_context(cafile=CA) if URL.scheme == "https" else None
LIST = "/api/v1/namespaces/demo/services"
WATCH = LIST + "?watch=1&timeoutSeconds=3&resourceVersion=0"
MISSING = LIST + "/missing"
ENCODINGS = ["identity", "gzip"]


def check_framing(headers):
    """A body has one length: by a header, or by chunks (RFC 9112, section 6.1)."""
    names = [name.lower() for name, _ in headers]
    framing = [it for it in names if it in ("content-length", "transfer-encoding")]
    assert len(framing) == 1, framing


class Decoder:
    """Decodes a body while it comes. What follows the end of a member is an error."""

    def __init__(self, encoding):
        self.gzip = zlib.decompressobj(31) if encoding == "gzip" else None

    def decode(self, data):
        if self.gzip is None:
            return data
        plain = self.gzip.decompress(data)
        assert not self.gzip.unused_data, "data after the end of the gzip member"
        return plain


def say_list(encoding, body):
    print("list", encoding, len(json.loads(body)["items"]))


class Watch:
    """Counts events, and notes whether they came while the watch was open."""

    def __init__(self, encoding):
        self.encoding, self.rest, self.added, self.times = encoding, b"", 0, []

    def take(self, data):
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        for line in lines:
            self.added += json.loads(line)["type"] == "ADDED"
            self.times.append(time.monotonic())

    def say(self):
        assert not self.rest, self.rest
        is_live = 1 < self.times[-1] - self.times[0]
        print("watch", self.encoding, self.added, "live" if is_live else "at once")


def with_http_client():
    kinds = {"https": lambda it: http.client.HTTPSConnection(it, context=TLS)}
    connection = kinds.get(URL.scheme, http.client.HTTPConnection)(URL.netloc)
    for encoding in ENCODINGS:
        connection.request("GET", LIST, headers={"Accept-Encoding": encoding})
        response = connection.getresponse()
        check_framing(response.getheaders())
        decoder = Decoder(response.getheader("content-encoding"))
        say_list(encoding, decoder.decode(response.read()))
        connection.request("GET", WATCH, headers={"Accept-Encoding": encoding})
        response = connection.getresponse()
        check_framing(response.getheaders())
        decoder, watch = Decoder(response.getheader("content-encoding")), Watch(encoding)
        while data := response.read1():
            watch.take(decoder.decode(data))
        watch.say()
        connection.request("GET", MISSING)
        response = connection.getresponse()
        response.read()
        print("missing", encoding, response.status)


def with_urllib():
    handlers = [urllib.request.ProxyHandler({})]
    handlers += [urllib.request.HTTPSHandler(context=TLS)] if TLS else []
    opener = urllib.request.build_opener(*handlers)
    for encoding in ENCODINGS:
        ask = lambda path: urllib.request.Request(BASE + path, headers={"Accept-Encoding": encoding})
        with opener.open(ask(LIST)) as response:
            check_framing(response.getheaders())
            body = response.read()
            is_gzip = response.headers.get("content-encoding") == "gzip"
            say_list(encoding, gzip.decompress(body) if is_gzip else body)
        with opener.open(ask(WATCH)) as response:
            decoder, watch = Decoder(response.headers.get("content-encoding")), Watch(encoding)
            while data := response.read1():
                watch.take(decoder.decode(data))
            watch.say()
        try:
            opener.open(ask(MISSING))
        except urllib.error.HTTPError as refusal:
            print("missing", encoding, refusal.code)


def with_h11():
    import h11

    sock = socket.create_connection((URL.hostname, URL.port))
    sock = TLS.wrap_socket(sock, server_hostname=URL.hostname) if TLS else sock
    connection = h11.Connection(our_role=h11.CLIENT)

    def ask(path, encoding):
        headers = [("Host", URL.netloc), ("Accept-Encoding", encoding)]
        request = h11.Request(method="GET", target=path, headers=headers)
        sock.sendall(connection.send(request) + connection.send(h11.EndOfMessage()))

    def events():
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(sock.recv(65536))
                continue
            yield event
            if isinstance(event, h11.EndOfMessage):
                connection.start_next_cycle()
                return

    def read(path, encoding, take):
        ask(path, encoding)
        for event in events():
            if isinstance(event, h11.Response):
                check_framing([(name.decode(), value) for name, value in event.headers])
                status, decoder = event.status_code, Decoder(dict(event.headers).get(b"content-encoding", b"").decode())
            elif isinstance(event, h11.Data):
                take(decoder.decode(bytes(event.data)))
        return status

    for encoding in ENCODINGS:
        body = bytearray()
        read(LIST, encoding, body.extend)
        say_list(encoding, body)
        watch = Watch(encoding)
        read(WATCH, encoding, watch.take)
        watch.say()
        print("missing", encoding, read(MISSING, encoding, lambda _: None))


async def with_aiohttp():
    import aiohttp

    async with aiohttp.ClientSession(BASE) as session:
        for encoding in ENCODINGS:
            ask = lambda path: session.get(path, headers={"Accept-Encoding": encoding}, ssl=TLS)
            async with ask(LIST) as response:
                check_framing(response.headers.items())
                say_list(encoding, await response.read())
            async with ask(WATCH) as response:
                watch = Watch(encoding)
                async for data in response.content.iter_any():
                    watch.take(data)
                watch.say()
            async with ask(MISSING) as response:
                print("missing", encoding, response.status)


def with_httpx():
    import httpx

    with httpx.Client(base_url=BASE, verify=TLS or True, trust_env=False) as client:
        for encoding in ENCODINGS:
            headers = {"Accept-Encoding": encoding}
            response = client.get(LIST, headers=headers)
            check_framing(response.headers.items())
            say_list(encoding, response.content)
            watch = Watch(encoding)
            with client.stream("GET", WATCH, headers=headers, timeout=20) as response:
                for data in response.iter_bytes():
                    watch.take(data)
            watch.say()
            print("missing", encoding, client.get(MISSING, headers=headers).status_code)


if CLIENT == "aiohttp":
    asyncio.run(with_aiohttp())
else:
    {"http.client": with_http_client, "urllib": with_urllib, "h11": with_h11, "httpx": with_httpx}[CLIENT]()
