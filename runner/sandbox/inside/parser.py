"""PID 1 of a sandbox that parses sources for the analysis: one request a source, until the host closes the wire."""


def reply_to(head, body):
    if head["op"] == "swap":
        return swapped(body, head["lengths"], head["names"])
    if head["op"] == "locate":
        return located(body, head["rules"])
    return syntax_of(body, head["rules"])


def main():
    wire = take_over()
    hide_memory()
    wire.write(HELLO, 0, {"seen": first_look()})
    while True:
        frame = wire.read()
        if frame is None:
            return
        _kind, sequence, head, body = frame
        wire.write(REPLY, sequence, {"ok": True}, json.dumps(reply_to(head, body)).encode())


main()
