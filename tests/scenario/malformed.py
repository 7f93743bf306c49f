"""Requests that no server should take, as raw bytes: (what it is, the bytes); filled_in() puts in the names between @.

Each must be refused with one of REFUSALS and the connection closed; none may hang, and none may be answered twice, which
is how a smuggled request would show. To what has no line of a request libmicrohttpd says nothing: None."""

REFUSALS = {None, 400, 405, 411, 413, 414, 417, 421, 431, 501, 505}
AUTHORITY = "Host: @HOST@\r\nAuthorization: Bearer @TOKEN@\r\n"
SMUGGLED = "GET /healthz HTTP/1.1\r\nHost: @HOST@\r\n\r\n"
JSON = "Content-Type: application/json\r\n"


def get(headers="", line="GET /v1/info HTTP/1.1", authority=AUTHORITY):
    return f"{line}\r\n{authority}{headers}\r\n"


def post(headers, body=""):
    return f"POST @PATH@/collect HTTP/1.1\r\n{AUTHORITY}{JSON}{headers}\r\n{body}"


def twice():
    """Headers that stand once or not at all."""
    for name, first, second in (("Host", "@HOST@", "@HOST@"), ("Host", "@HOST@", "evil.example"), ("Host", "@HOST@", ""),
                                ("Authorization", "Bearer @TOKEN@", "Bearer @TOKEN@"), ("Authorization", "Bearer @TOKEN@", "Bearer x"),
                                ("Authorization", "Bearer x", "Bearer @TOKEN@"), ("Origin", "http://@HOST@", "http://@HOST@"),
                                ("Origin", "http://@HOST@", "http://evil.example"), ("Content-Length", "0", "0"),
                                ("Content-Length", "2", "2"), ("Content-Length", "2", "0"), ("Content-Length", "0", "2"),
                                ("Content-Type", "application/json", "text/plain"), ("Transfer-Encoding", "chunked", "chunked"),
                                ("Transfer-Encoding", "chunked", "identity"), ("Transfer-Encoding", "identity", "chunked")):
        rest = "".join(line + "\r\n" for line in AUTHORITY.split("\r\n") if line and not line.startswith(name + ":"))
        for one, other in ((name, name), (name.lower(), name.upper()), (name, name.swapcase())):
            lines = f"{one}: {first}\r\n{other}: {second}\r\n"
            yield f"{one}, {other}: {first} and {second}", f"POST @PATH@/collect HTTP/1.1\r\n{rest}{lines}\r\n{{}}"


def lengths():
    for value in ("-1", "+2", "2 2", "2,2", "2, 2", "0x2", "2.0", "1e1", "2x", "x", "", "\"2\"", "18446744073709551616",
                  "18446744073709551615", "9223372036854775808", "1000000000000000000", "65537", "99999999999999999999999999",
                  "00000000000000000000000000000065537", "\t", "2\t2", "2;2", "\x0b2", "٢".encode().decode("latin-1")):
        yield f"Content-Length: {value!r}", post(f"Content-Length: {value}\r\n", "{}")
    for value in ("2", "0", "5"):
        for encoding in ("chunked", "Chunked", "CHUNKED", "identity", "gzip", " chunked", "chunked "):
            for order in (0, 1):
                lines = [f"Content-Length: {value}\r\n", f"Transfer-Encoding: {encoding}\r\n"]
                yield f"length {value} and {encoding!r}, {order}", post("".join(lines[::1 - 2 * order]), "0\r\n\r\n" + SMUGGLED)


def encodings():
    for value in ("gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", "identity", "chunked;q=1", "xchunked", "chunkedx",
                  "\"chunked\"", "chunked,", ",chunked", "chun ked", "deflate", "x", "", "\x0bchunked", "chunked\x0b"):
        yield f"Transfer-Encoding: {value!r}", post(f"Transfer-Encoding: {value}\r\n", "0\r\n\r\n" + SMUGGLED)
    for name in ("Transfer-Encoding ", " Transfer-Encoding", "Transfer-Encoding\t", "Transfer Encoding", "Transfer-Encoding\x0b",
                 "Transfer-Encoding\x01", "(Transfer-Encoding)", "Transfer-Encoding,", "Content-Length ", "Content-Length\t"):
        yield f"name {name!r}", post(f"X: y\r\n{name}: chunked\r\n", "0\r\n\r\n" + SMUGGLED)


def chunks():
    for size in ("x", "-1", "+2", "0x2", "g", "2 2", "fffffffffffffffff", "10000000000000000", "", " ", ";", "\x00", "2\x002", "1e1x", "--", "2\t2"):
        yield f"chunk size {size!r}", post("Transfer-Encoding: chunked\r\n", f"{size}\r\n{{}}\r\n0\r\n\r\n")
    for body in ("2\r\n{}x\r\n0\r\n\r\n", "2\r\n{}\r\n\r\n0\r\n\r\n", "1\r\n{}\r\n0\r\n\r\n", "2\r\n{}0\r\n\r\n"):
        yield f"chunks {body!r}", post("Transfer-Encoding: chunked\r\n", body + SMUGGLED)


def targets():
    for target in ("http://@HOST@/v1/info", "https://@HOST@/v1/info", "http://evil.example/v1/info", "HTTP://@HOST@/", "*",
                   "v1/info", "?x=1", "@HOST@:80", "", "/v1/info#x", "/v1/info%", "/v1/info%0", "/v1/info%zz", "/v1/%00", "/%00",
                   "/v1/processes/%00/stats", "/v1/info%00.html", "/v1/in\x01fo", "/v1/info\x7f", "/v1/\xff\xfe", "/v1/info?\x80",
                   "/a" * 9, "/" + "a" * 300, "/" + "a" * 5000, "/" + "a" * 20000, "/?" + "a=1&" * 2000, "/v1/info\x00", "/v1\x00/info",
                   "/%", "/%2", "/%x0/", "/v1/info\t", "/v1\x0b/info"):
        yield f"target {target[:40]!r}", get(line=f"GET {target} HTTP/1.1")


def lines():
    for line in ("GET", "GET /v1/info", "GET  HTTP/1.1", "/v1/info HTTP/1.1", "GET /v1/info HTTP/1.2.3", "GET /v1/info HTTP/2.0", "GET /v1/info HTTP/3",
                 "GET /v1/info HTTP/0.9", "GET /v1/info HTTP/11", "GET /v1/info HTTP/1.", "GET /v1/info HTTP/.1", "GET /v1/info http/1.1",
                 "GET /v1/info HTTPS/1.1", "GET /v1/info HTTP/1.1 x", "GET /v1/info x HTTP/1.1", "GET /v1/info HTTP/1.1\x00", "GET\x00 /v1/info HTTP/1.1",
                 "GET\t/v1/info\tHTTP/1.1", "G ET /v1/info HTTP/1.1", "GET /v1/info HTTP/-1.1", "GET /v1/info HTTP/1.10", "GET /v1/info HTTP/99.1",
                 "GET /v1/info ICY", "PRI * HTTP/2.0", "CONNECT @HOST@ HTTP/1.1", "<> /v1/info HTTP/1.1", "GET, /v1/info HTTP/1.1",
                 "GET: /v1/info HTTP/1.1", "{} /v1/info HTTP/1.1", "G\xc9T /v1/info HTTP/1.1", "A" * 20000,
                 "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x00\x00\x00\x00", "SSH-2.0-OpenSSH_9.2"):
        yield f"line {line[:40]!r}", get(line=line)


def headers():
    for header in ("no colon", ": no name", "\x00: x", "X\x00: y", "X: a\x00b", "X: a\x01b", "X: a\x7fb", "X: a\x0bb", "X: a\rb", "X\r: y", "X Y: z", "X : y",
                   "X\t: y", "(X): y", "X@: y", "X[: y", "X{}: y", "X,Y: z", "X;Y: z", "X\"Y\": z", "X/Y: z", "\xc9: y", "X\x7f: y", "X=Y: z",
                   "Host : evil.example", "Host\t: evil.example", "Host\x00: evil.example", "Host: evil.example\x00@HOST@",
                   "Content-Length\x00: 5", "Transfer-Encoding\x00: chunked", "X: " + "a" * 65536, "X" * 65536 + ": y", "X" * 70000,
                   "\r\n".join(f"X{n}: y" for n in range(4000)), "X: y\x00\r\nContent-Length: 5"):
        yield f"header {header[:40]!r}", get(header + "\r\n")
    for name in ("Host", "Authorization", "Content-Length", "Origin"):
        rest = "".join(line + "\r\n" for line in AUTHORITY.split("\r\n") if line and not line.startswith(name))
        value = {"Host": "@HOST@", "Authorization": "Bearer @TOKEN@", "Content-Length": "0", "Origin": "http://@HOST@"}[name]
        for folded in (f"{name}:\r\n {value}x\r\n", f"{name}: {value}\r\n evil\r\n", f"{name}: {value}\r\n\tevil\r\n", f" {name}: {value}\r\n",
                       f"{name}: {value}\r\n \r\n x\r\n"):
            if name != "Content-Length":
                yield f"folded {folded!r}", f"GET /v1/info HTTP/1.1\r\n{rest}{folded}\r\n"
            else:
                yield f"folded {folded!r}", post(folded, "{}")


def hosts():
    for host in ("", " ", "evil.example", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:@PORT@.", "127.0.0.1.:@PORT@", "localhost.:@PORT@", "localhost", "LOCALHOST:@PORT@",
                 "localhost:@PORT@:@PORT@", "user@127.0.0.1:@PORT@", "127.0.0.1:@PORT@@evil.example", "127.0.0.1:@PORT@/evil", "http://127.0.0.1:@PORT@",
                 "127.evil.example:@PORT@", "127.0.0.1.evil.example:@PORT@", "evil.example:@PORT@", "[::1]", "[::1]:1", "::1:@PORT@", "0.0.0.0:@PORT@", "127.1:@PORT@",
                 "2130706433:@PORT@", "0x7f.1:@PORT@", "127.0.0.1:0@PORT@", "127.0.0.1: @PORT@", "127.0.0.1:@PORT@,evil.example", "127.0.0.1:@PORT@ evil.example",
                 "[::ffff:127.0.0.1]:@PORT@", "localhost:+@PORT@", "xn--localhost:@PORT@", "127.0.0.2:@PORT@"):
        yield f"host {host!r}", get(authority=f"Host: {host}\r\nAuthorization: Bearer @TOKEN@\r\n")
    yield "no host", get(authority="Authorization: Bearer @TOKEN@\r\n")
    yield "no host, 1.0", get(authority="Authorization: Bearer @TOKEN@\r\n", line="GET /v1/info HTTP/1.0")


def line_feeds():
    """A line ends with CR LF, and a lone LF or CR is none of it."""
    whole = get("X: y\r\n").split("\r\n")[:-2]
    for n in range(len(whole)):
        for ending in ("\n", "\r", "\n\r", "\r\r\n") if n < len(whole) - 1 else ("\r\r\n",):  # an end that is cut off is awaited
            yield f"{ending!r} after {whole[n]!r}", "".join(line + (ending if i == n else "\r\n") for i, line in enumerate(whole)) + "\r\n"


def filled_in(text, host, token, path):
    for name, value in (("@HOST@", host), ("@PORT@", host.rpartition(":")[2]), ("@TOKEN@", token), ("@PATH@", path)):
        text = text.replace(name, value)
    return text.encode("latin-1")


TABLE = [case for theme in (twice, lengths, encodings, chunks, targets, lines, headers, line_feeds, hosts) for case in theme()]
