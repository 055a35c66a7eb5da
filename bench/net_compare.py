#!/usr/bin/env python3
"""Measures net's bare loop beside nginx: a fixed answer of 600 bytes over TLS 1.3, one core each.

usage: bench/net_compare.py [--server build/release/bench/net_fixed_server] [--rounds 5]
                            [--seconds 4] [--late] [--idle 10000]

The server and nginx (one worker) are pinned to CPU 0 and take turns; wrk with one thread and 64
keep-alive connections is pinned to CPU 1. Prints requests a second and, since wrk saturates its own
core before a fast server does, the server's CPU time a request (user and system time from /proc
over the requests counted): ratios of that are the robust figure. --late answers each turn's
requests from a posted callback, as a group commit does. --idle N also opens N TLS connections that
say nothing after one request each and prints the memory that one costs.
Needs wrk, nginx-light, openssl; root or a high RLIMIT_NOFILE for --idle.
"""

import argparse
import os
import pathlib
import re
import resource
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
NGINX_PORT, SERVER_PORT = 8610, 8620
BODY = (
    '{"request_id":"0b6a5b7e-4d9d-0f1e-7d3b-1f3d1c1b2a3c","lease_id":"","renewable":false,'
    '"lease_duration":0,"data":{"data":{"value":"' + "abcdefghijklmnop" * 16 + '"},"metadata":'
    '{"created_time":"2026-11-23T15:00:00.000000000Z","custom_metadata":null,"deletion_time":"",'
    '"destroyed":false,"version":1}},"wrap_info":null,"warnings":null,"auth":null}')
NGINX = """worker_processes 1; worker_cpu_affinity 01; daemon on;
pid {d}/ng.pid; error_log {d}/ng.err;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {d}/b;
proxy_temp_path {d}/p; fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u; scgi_temp_path {d}/s;
server {{ listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.3;
ssl_certificate {d}/cert.pem; ssl_certificate_key {d}/key.pem;
location / {{ default_type application/json; return 200 '{body}'; }} }} }}
"""
WRK = """local h = {["X-Vault-Token"]="hvs.CAESIJ0aBcDeFgHiJkLmNoPq", ["X-Vault-Request"]="true",
  ["User-Agent"]="bench", ["Accept"]="*/*"}
local r
-- Not earlier: wrk.host isn't known before.
init = function(_) r = wrk.format("GET", "/v1/secret/data/app/k1234", h) end
request = function() return r end
done = function(s, l, _)
  io.write(string.format("RESULT %.0f %d %d %d\\n", s.requests / (s.duration / 1e6),
    l:percentile(50), l:percentile(99),
    s.errors.status + s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout))
  io.write(string.format("COUNT %d\\n", s.requests))
end
"""


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def anonymous_bytes(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+)", status).group(1)) * 1024


def load(port, pid, folder, seconds):
    before = cpu_seconds(pid)
    out = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", "-c64", f"-d{seconds}s", "-s", f"{folder}/wrk.lua",
         f"https://127.0.0.1:{port}"], capture_output=True, text=True, check=False,
        start_new_session=True).stdout
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+)\nCOUNT (\d+)", out)
    if not found or int(found.group(4)):
        sys.exit(f"the load failed on port {port}: {out}")
    rate, p50, p99, _, count = map(int, found.groups())
    cpu_us = (cpu_seconds(pid) - before) * 1e6 / count
    return {"rate": rate, "p50": p50, "p99": p99, "cpu_us": cpu_us}


def idle_cost(port, pid, count):
    """Anonymous bytes that one idle TLS connection costs after it was used once."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 1000, count + 1000))
    context = ssl._create_unverified_context()
    before = anonymous_bytes(pid)
    kept = []
    for _ in range(count):
        connection = context.wrap_socket(socket.create_connection(("127.0.0.1", port)))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(4096)
        kept.append(connection)
    time.sleep(5)  # the server gives buffers back after a second or two
    return (anonymous_bytes(pid) - before) / count


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=TOP / "build/release/bench/net_fixed_server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--late", action="store_true")
    parser.add_argument("--idle", type=int, default=0)
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="net-compare-", dir="/var/tmp")
    os.chmod(folder, 0o755)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem", "-days", "30",
         "-subj", "/CN=localhost"], check=True, capture_output=True)
    pathlib.Path(folder, "ng.conf").write_text(NGINX.format(d=folder, port=NGINX_PORT, body=BODY))
    pathlib.Path(folder, "wrk.lua").write_text(WRK)
    server = None
    try:
        subprocess.run(["nginx", "-c", f"{folder}/ng.conf"], check=True)
        server = subprocess.Popen(
            ["taskset", "-c", "0", arguments.server, f"{folder}/cert.pem", f"{folder}/key.pem",
             str(SERVER_PORT), "1"] + (["late"] if arguments.late else []),
            start_new_session=True)  # as nginx, so that the scheduler's groups weigh them alike
        time.sleep(1)
        master = pathlib.Path(folder, "ng.pid").read_text().strip()
        worker = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()[0]
        rows = {"nginx": [], "net": []}
        for _ in range(arguments.rounds):
            rows["nginx"].append(load(NGINX_PORT, worker, folder, arguments.seconds))
            rows["net"].append(load(SERVER_PORT, server.pid, folder, arguments.seconds))
        middle = {name: {key: statistics.median(row[key] for row in runs) for key in runs[0]}
                  for name, runs in rows.items()}
        for name, row in middle.items():
            print(f"{name:6} {row['rate']:8.0f}/s  p50 {row['p50']:.0f} us  "
                  f"p99 {row['p99']:.0f} us  {row['cpu_us']:.2f} us of CPU a request")
        ratios = [a["cpu_us"] / b["cpu_us"] for a, b in zip(rows["nginx"], rows["net"])]
        rate_ratio = middle["net"]["rate"] / middle["nginx"]["rate"]
        print(f"net is {rate_ratio:.2f} of nginx's rate under wrk; by CPU time "
              f"{statistics.median(ratios):.2f} [{min(ratios):.2f}-{max(ratios):.2f}]")
        if arguments.idle:
            cost = idle_cost(SERVER_PORT, server.pid, arguments.idle)
            print(f"{cost:.0f} anonymous bytes for each of {arguments.idle} idle TLS connections")
    finally:
        if server:
            server.terminate()
            server.wait(15)
        subprocess.run(["nginx", "-c", f"{folder}/ng.conf", "-s", "stop"], capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


main()
