#!/usr/bin/env python3
"""An internet that behaves badly, for tests/soak: a resolver that is silent, lies and floods, and servers that stall, reset, lie
and flood. usage: bad.py ADDRESS; it goes on until it is ended."""

import random
import socket
import struct
import sys
import threading
import time

ADDRESS = sys.argv[1]
# Long against what a proxy should wait for in a test, short against the test's own patience.
STALL_SECONDS = 20


def record(name, kind, data, ttl=1):
    return name + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def answer(query, number, flags, records):
    end = query.index(0, 12) + 5
    return struct.pack("!HHHHHH", number, flags, 1, len(records), 0, 0) + query[12:end] + b"".join(records)


def resolve():
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind((ADDRESS, 53))
    while True:
        query, client = listening.recvfrom(4096)
        try:
            number, kind = struct.unpack("!H", query[:2])[0], query[query.index(0, 12) + 1:query.index(0, 12) + 3]
        except (ValueError, struct.error):
            continue
        here = [record(b"\xc0\x0c", 1, socket.inet_aton(ADDRESS))] if kind == b"\0\1" else []
        mood = random.random()
        if mood < 0.1:
            continue
        if mood < 0.2:
            # Somebody who guesses, many times.
            for _ in range(100):
                listening.sendto(answer(query, random.randrange(65536), 0x8180, here), client)
        elif mood < 0.3:
            lie = [record(b"\xc0\x0c", 1, socket.inet_aton("169.254.169.254")), record(b"\4evil\4test\0", 1, socket.inet_aton(ADDRESS), 86400)]
            listening.sendto(answer(query, number, 0x8180, lie), client)
            continue
        elif mood < 0.4:
            listening.sendto(bytes(random.randrange(256) for _ in range(random.randrange(600))), client)
            continue
        elif mood < 0.5:
            # Everything that fits, and an alias that goes round.
            many = [record(b"\xc0\x0c", 1, socket.inet_aton(f"93.184.217.{it}"), 0xFFFFFFFF) for it in range(3, 250)]
            listening.sendto(answer(query, number, 0x8180, [record(b"\xc0\x0c", 5, b"\xc0\x0c")] + many), client)
            continue
        listening.sendto(answer(query, number, 0x8180, here), client)


def behave(stream):
    stream.settimeout(STALL_SECONDS)
    head = stream.recv(4096)
    path = head.split(b" ")[1:2]
    how = path[0].decode("latin-1").strip("/") if path and head[:1] == b"G" else random.choice(["stall", "reset", "garbage"])
    if how == "stall":
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot")
        time.sleep(STALL_SECONDS * random.random())
    elif how == "reset":
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif how == "lie":
        stream.sendall(random.choice([
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n",
        ]))
    elif how == "heads":
        stream.sendall(b"HTTP/1.1 200 OK\r\n")
        for number in range(100_000):
            stream.sendall(b"X-%d: %s\r\n" % (number, b"x" * 200))
    elif how == "flood":
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            stream.sendall(b"x" * 65536)
    elif how == "interim":
        for _ in range(100_000):
            stream.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    else:
        stream.sendall(bytes(random.randrange(256) for _ in range(2000)))


def serve(port):
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((ADDRESS, port))
    listening.listen(256)

    def one(stream):
        with stream:
            try:
                behave(stream)
            except OSError:
                pass

    while True:
        threading.Thread(target=one, args=(listening.accept()[0],), daemon=True).start()


for port in (80, 443):
    threading.Thread(target=serve, args=(port,), daemon=True).start()
print("here", flush=True)
resolve()
