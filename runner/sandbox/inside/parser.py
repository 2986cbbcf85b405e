"""PID 1 of a sandbox that parses sources for the analysis: one request a source, until the host closes the wire."""


def main():
    wire = take_over()
    hide_memory()
    wire.write(HELLO, 0, {"seen": seen_from_inside(refuse_calls())})
    while True:
        frame = wire.read()
        if frame is None:
            return
        _kind, sequence, head, body = frame
        wire.write(REPLY, sequence, {"ok": True}, json.dumps(syntax_of(body, head["rules"])).encode())


main()
