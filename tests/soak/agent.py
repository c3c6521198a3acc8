#!/usr/bin/env python3
"""An agent that works and one that misbehaves, in one, for tests/soak: many threads that each do one thing after the other at the
proxy and the resolver of a host. usage: agent.py SECONDS THREADS; prints how often each thing went well and did not, as JSON."""

import collections
import json
import os
import random
import socket
import ssl
import struct
import sys
import threading
import time

SECONDS, THREADS = float(sys.argv[1]), int(sys.argv[2])
PROXY, RESOLVER = ("10.200.0.1", 8080), ("10.200.0.1", 53)
UNTIL = time.monotonic() + SECONDS
BAD = ["stall", "reset", "lie", "heads", "flood", "interim", "garbage"]
TLS = ssl.create_default_context()
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE


def connect():
    stream = socket.create_connection(PROXY, timeout=3)
    stream.settimeout(3)
    return stream


def read(stream, most=1 << 20):
    got = b""
    while len(got) < most:
        piece = stream.recv(65536)
        if not piece:
            break
        got += piece
        if len(got) < 4096 and b"\r\n\r\n" in got and b"Content-Length: 100" not in got:
            break
    return got


def get(url):
    host = url.split("/")[2]
    with connect() as stream:
        stream.sendall(f"GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return read(stream)


def inside(host, path):
    with connect() as stream:
        stream.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
        if b" 200 " not in stream.recv(4096):
            return b""
        with TLS.wrap_socket(stream, server_hostname=host) as tls:
            tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            return read(tls)


def ask(name, wait=0.5):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(wait)
        labels = b"".join(bytes([len(it)]) + it.encode() for it in name.split("."))
        asking.sendto(os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1", RESOLVER)
        return asking.recv(4096)


def good():
    return b"saw GET" in get("http://allowed.test/yes")


def good_inside():
    return b"saw GET" in inside("modern.test", "/yes")


def refused():
    return b"403" in get("http://allowed.test/no")


def bad():
    get("http://servfail.test/" + random.choice(BAD))
    return True


def bad_inside():
    inside("servfail.test", "/" + random.choice(BAD))
    return True


def names():
    for _ in range(20):
        ask(random.choice(["brief.test", "silent.test", "servfail.test", "loop.test", "poison.test", f"n{random.random()}.evil.test"]))
    return True


def junk():
    with connect() as stream:
        stream.sendall(os.urandom(random.randrange(1, 3000)))
        stream.recv(4096)
    return True


def idle():
    with connect():
        time.sleep(random.random() * 3)
    return True


def slow():
    with connect() as stream:
        for byte in b"GET http://allowed.test/slow HTTP/1.1\r\nHost: allowed.test\r\n":
            stream.sendall(bytes([byte]))
            time.sleep(0.02)
    return True


def leave():
    """Asks and is gone, with a reset."""
    with connect() as stream:
        stream.sendall(b"GET http://allowed.test/bytes/1000000 HTTP/1.1\r\nHost: allowed.test\r\n\r\n")
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return True


def open_way():
    found = ask("other.test", 2)
    with socket.create_connection((socket.inet_ntoa(found[-4:]), 7000), timeout=2) as stream:
        stream.sendall(b"hello")
        return stream.recv(16) == b"hello"


def packets():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        for port in range(1000, 1020):
            sending.sendto(b"x", ("93.184.216.35", port))
    return True


THINGS = [good, good, good, good_inside, good_inside, refused, bad, bad, bad_inside, names, junk, idle, slow, leave, open_way, packets]
counts = collections.Counter()


def work():
    while time.monotonic() < UNTIL:
        thing = random.choice(THINGS)
        try:
            went = thing()
        except (OSError, ValueError):
            went = False
        counts[thing.__name__ + (" well" if went else " badly")] += 1


threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(max(0, UNTIL - time.monotonic()) + 15)
print(json.dumps(counts), flush=True)
