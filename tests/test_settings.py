"""What is kept between jobs is written whole, also by several jobs of one process."""

import os
import socket
import threading
from pathlib import Path

import pytest

from runner.settings import replace_file


def test_threads_that_replace_one_file_leave_one_whole_content_and_nothing_else(tmp_path: Path) -> None:
    path, contents, wrong = tmp_path / "kept", [bytes([number]) * 300_000 for number in range(4)], []
    begin = threading.Barrier(len(contents))

    def write(content: bytes) -> None:
        begin.wait()
        for _ in range(20):
            try:
                replace_file(path, content)
                if path.read_bytes() not in contents:
                    wrong.append("torn")
            except OSError as error:
                wrong.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and path.read_bytes() in contents and list(tmp_path.iterdir()) == [path]


def test_a_device_a_pipe_or_a_socket_is_not_replaced_and_a_link_is(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        for special in (pipe, tmp_path / "socket"):
            with pytest.raises(OSError, match="not an ordinary file"):
                replace_file(special, b"new")
    assert pipe.is_fifo() and (tmp_path / "socket").is_socket()
    replace_file(link, b"new")
    assert not link.is_symlink() and link.read_bytes() == b"new" and pipe.is_fifo()
