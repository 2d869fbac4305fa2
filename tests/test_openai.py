"""A model behind a real server process: what it is sent, what it answers, what goes wrong."""

from __future__ import annotations

import asyncio
import io
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from threading import Thread, current_thread
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_server import OpenAIServer, openai_server

from videopipe.errors import ConfigError, ModelError, TimeLimit, VideopipeError
from videopipe.mllm import server as module
from videopipe.mllm._messages import mp4
from videopipe.mllm.reply import Reply
from videopipe.mllm.server import ServerModel
from videopipe.types import FrameBatch, FrameSet

KEY = "sesame-4f0c1d-open"
COLOURS = ((200, 30, 40), (20, 180, 60), (30, 50, 210), (128, 128, 128))


@pytest.fixture(scope="module")
def running() -> Iterator[OpenAIServer]:
    with openai_server("tiny-vl", "tiny-vl-2", "large-vl", "other", "another", key=KEY) as server:
        yield server


@pytest.fixture
def server(running: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> OpenAIServer:
    """The server with nothing done, the key in the environment, and short pauses."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    running.behave()
    return running


def model_at(url: str | None, name: str = "tiny-vl", **changes: Any) -> ServerModel:
    return ServerModel(
        name, url, **({"timeout_seconds": 20.0, "retries": 2, "concurrency": 3} | changes)
    )


def say(model: ServerModel, *prompt: Any, limit: float = 30.0, **more: Any) -> Reply:
    prompt = prompt or ("What is shown?",)
    return model.reply(prompt, max_new_tokens=64, time_limit_seconds=limit, **more)


def failure(call: Callable[[], object], kind: type[VideopipeError] = ModelError) -> str:
    """The one sentence that ``call`` fails with; it never holds the key."""
    with pytest.raises(VideopipeError) as caught:
        call()
    assert type(caught.value) is kind
    message = str(caught.value)
    assert KEY not in message
    assert message.endswith(".")
    assert "\n" not in message
    assert caught.value.__cause__ is None
    return message


def batch(times: list[float], width: int = 64, height: int = 48) -> FrameBatch:
    frames = [np.full((height, width, 3), COLOURS[i % 4], np.uint8) for i in range(len(times))]
    return FrameBatch(np.array(times), np.stack(frames))


def test_an_answer_with_its_facts(server: OpenAIServer) -> None:
    model = model_at(server.url)
    reply = say(model, "What is shown?", system="Be brief.")
    state = server.state()
    assert model.name == "openai:tiny-vl"
    assert reply.text == "I was sent 0 images, 0 videos, 1 texts."
    assert reply.stopped_by == "end"
    assert (reply.prompt_tokens, reply.new_tokens) == (1000, 9)
    assert reply.first_token_seconds is not None
    assert 0 < reply.first_token_seconds <= reply.seconds
    assert state.authorization == f"Bearer {KEY}"
    assert state.system == "Be brief."
    assert state.body["model"] == "tiny-vl"
    assert state.body["max_tokens"] == 64
    assert state.body["temperature"] == state.body["seed"] == 0


def test_frames_are_sent_as_pictures_in_their_place(server: OpenAIServer) -> None:
    mixed = FrameSet(
        np.array([7.04, 3723.96]),
        (np.full((31, 17, 3), COLOURS[2], np.uint8), np.full((20, 50, 3), COLOURS[3], np.uint8)),
    )
    say(model_at(server.url), "before", batch([1.0, 12.34]), "between", mixed, "after")
    parts = server.state().parts
    first, second = parts[:6], parts[6:]
    assert [part.get("text", part["type"]) for part in first] == (
        ["before", "<1.0 seconds>", "image", "<12.3 seconds>", "image", "between"]
    )
    assert [part.get("text", part["type"]) for part in second] == (
        ["<7.0 seconds>", "image", "<3724.0 seconds>", "image", "after"]
    )
    images = [part for part in parts if part["type"] == "image"]
    assert {(image["form"], image["format"]) for image in images} == {("data:image/jpeg", "JPEG")}
    sizes = [(image["width"], image["height"]) for image in images]
    assert sizes == [(64, 48), (64, 48), (17, 31), (50, 20)]
    for image, colour in zip(images, COLOURS, strict=True):
        np.testing.assert_allclose(image["mean"], colour, atol=2)


@pytest.mark.parametrize("size", [(64, 48), (65, 47), (1282, 722), (1, 1)])
def test_frames_are_sent_as_a_video(server: OpenAIServer, size: tuple[int, int]) -> None:
    times = [100.0, 100.04, 103.5, 221.25]
    model = model_at(server.url, send="video")
    say(model, "before", batch(times, *size), batch([4000.0], *size), "after")
    texts = [part.get("text") for part in server.state().parts]
    assert texts == [
        "before",
        "<100.0, 100.0, 103.5, 221.2 seconds>",
        None,
        "<4000.0 seconds>",
        None,
        "after",
    ]
    video, single = server.state().parts[2], server.state().parts[4]
    assert (video["form"], video["codec"]) == ("data:video/mp4", "h264")
    assert (video["width"], video["height"]) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    np.testing.assert_allclose(video["times"], np.array(times) - 100, atol=3e-4)
    np.testing.assert_allclose(video["means"], COLOURS, atol=6)
    assert video["seconds"] == pytest.approx(121.25 * 4 / 3, abs=1e-3)
    assert (single["times"], single["seconds"]) == ([0.0], 1.0)


def test_two_frames_of_one_time_and_none_are_a_video_too(server: OpenAIServer) -> None:
    model = model_at(server.url, send="video")
    say(model, batch([5.0, 5.0, 5.0]), FrameBatch(np.empty(0), np.empty((0, 8, 8, 3), np.uint8)))
    (_, video) = server.state().parts
    np.testing.assert_allclose(video["times"], [0, 0, 0], atol=3e-4)
    assert np.all(np.diff(video["times"]) > 0)
    np.testing.assert_allclose(video["means"], COLOURS[:3], atol=6)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    start=st.floats(0, 1e5),
    gaps=st.lists(st.floats(1e-3, 4e4), max_size=6),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
)
def test_any_frames_are_a_video(start: float, gaps: list[float], size: tuple[int, int]) -> None:
    times = start + np.cumsum([0.0, *gaps])
    data = mp4(batch(list(times), *size))
    with av.open(io.BytesIO(data)) as container:
        shown = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(shown, times - times[0], atol=2e-4)


def test_frames_of_several_sizes_stay_pictures(server: OpenAIServer) -> None:
    frames = FrameSet(np.array([1.0]), (batch([1.0]).frames[0],))
    say(model_at(server.url, send="video"), frames)
    assert [part["type"] for part in server.state().parts] == ["text", "image"]


def test_text_comes_in_pieces_in_the_callers_thread(server: OpenAIServer) -> None:
    server.behave(answer="one two\nthree 🎬 four")
    pieces: list[str] = []
    threads = set()

    def on_text(text: str) -> None:
        pieces.append(text)
        threads.add(current_thread())

    reply = say(model_at(server.url), on_text=on_text)
    assert pieces == ["one ", "two\nthree ", "🎬 ", "four"]
    assert "".join(pieces) == reply.text == "one two\nthree 🎬 four"
    assert threads == {current_thread()}


def test_text_that_comes_in_splinters(server: OpenAIServer) -> None:
    server.behave(answer="ein 🎬 fährt über 東京", slice=5)
    assert say(model_at(server.url)).text == "ein 🎬 fährt über 東京"


def test_what_on_text_raises_ends_the_request(server: OpenAIServer) -> None:
    server.behave(endless="word{n} ", delay=0.01)

    def on_text(text: str) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        say(model_at(server.url), on_text=on_text)
    assert settled(server).cut_off == 1


@pytest.mark.parametrize(("finish", "stopped_by"), [("stop", "end"), ("length", "max_new_tokens")])
@pytest.mark.parametrize("document", [False, True])
def test_how_it_ended(server: OpenAIServer, document: bool, finish: str, stopped_by: str) -> None:
    server.behave(document=document, finish=finish, answer="a b c")
    reply = say(model_at(server.url))
    assert (reply.text, reply.stopped_by, reply.new_tokens) == ("a b c", stopped_by, 3)


def test_tokens_are_counted_in_pieces_where_the_server_tells_none(server: OpenAIServer) -> None:
    server.behave(usage=False, answer="a b c d")
    reply = say(model_at(server.url))
    assert (reply.new_tokens, reply.prompt_tokens) == (4, None)


def test_an_answer_withheld_is_an_error(server: OpenAIServer) -> None:
    server.behave(finish="content_filter")
    assert "withheld" in failure(lambda: say(model_at(server.url)))


def test_the_time_limit_cuts_an_answer_off(server: OpenAIServer) -> None:
    server.behave(endless="word{n} ", delay=0.01)
    reply = say(model_at(server.url), limit=1.0)
    assert reply.stopped_by == "time_limit"
    assert reply.text.startswith("word0 word1 ")
    assert reply.new_tokens == len(reply.text.split())
    assert settled(server).cut_off == 1


def test_nothing_within_the_time_limit(server: OpenAIServer) -> None:
    server.behave(hang=9)
    message = failure(lambda: say(model_at(server.url), limit=0.3), TimeLimit)
    assert "0.3 s" in message
    assert "model.time_limit_seconds" in message
    server.behave(fail=9, status=503, retry_after="3600", message="loading")
    began = time.monotonic()
    assert "503: loading" in failure(lambda: say(model_at(server.url), limit=3000), TimeLimit)
    assert time.monotonic() - began < 100  # it does not wait for what would come too late
    assert server.state().requests == 1


@pytest.mark.parametrize("document", [False, True])
def test_a_loop_of_words_is_cut_off(server: OpenAIServer, document: bool) -> None:
    shown: list[str] = []
    if document:
        server.behave(document=True, answer="and then the man walks on " * 100)
    else:
        server.behave(endless="and then the man walks on ", delay=0.001)
    reply = say(model_at(server.url), on_text=shown.append)
    assert reply.stopped_by == "repetition"
    assert reply.text == "".join(shown)
    assert document or settled(server).cut_off == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_what_may_pass_is_asked_again(server: OpenAIServer, status: int) -> None:
    server.behave(fail=2, status=status)
    assert say(model_at(server.url)).stopped_by == "end"
    assert server.state().requests == 3


def test_asking_again_has_an_end(server: OpenAIServer) -> None:
    server.behave(fail=9, status=429, message="slow down")
    message = failure(lambda: say(model_at(server.url)))
    assert "429: slow down" in message
    assert "model.concurrency" in message
    assert server.state().requests == 3
    server.behave(fail=9, status=500)
    assert "500: something broke" in failure(lambda: say(model_at(server.url, retries=0)))
    assert server.state().requests == 1


def test_retry_after_is_heeded(server: OpenAIServer) -> None:
    server.behave(fail=1, status=429, retry_after="1")
    say(model_at(server.url))
    first, second = server.state().times
    assert second - first >= 1


@pytest.mark.parametrize("value", ["soon", "-5", "nan", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_strange_retry_after_is_none(server: OpenAIServer, value: str) -> None:
    server.behave(fail=1, status=429, retry_after=value)
    assert say(model_at(server.url)).stopped_by == "end"


def test_a_silent_server_is_asked_again(server: OpenAIServer) -> None:
    server.behave(hang=1)
    assert say(model_at(server.url, timeout_seconds=1.0)).stopped_by == "end"
    server.behave(hang=9)
    assert "was silent for 0.3 s" in failure(
        lambda: say(model_at(server.url, timeout_seconds=0.3, retries=1))
    )
    assert server.state().requests == 2


@pytest.mark.parametrize("fault", ["break_off", "error_inside"])
def test_an_answer_that_breaks_off(server: OpenAIServer, fault: str) -> None:
    server.behave(**{fault: 1}, answer="one two three four")
    assert say(model_at(server.url)).text == "one two three four"
    assert server.state().requests == 2
    server.behave(**{fault: 1}, answer="one two three four")
    shown: list[str] = []  # what was shown cannot be taken back
    failure(lambda: say(model_at(server.url), on_text=shown.append))
    assert shown == ["one ", "two "]
    assert server.state().requests == 1


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ("<html><body>Welcome</body></html>", "Welcome"),
        ("", "nothing"),
        ("[]", "[]"),
        ('{"choices": []}', "no choices"),
        ('{"choices": "none"}', "no choices"),
        ("data: {broken\n\n", "broken"),
        ("data: [DONE]\n\n", "no choices"),
        (f"you sent {KEY}", "you sent ***"),
        ("[" * 100_000, "[["),
        ('{"choices": [{"message": {"content": "half', "half"),
        ("\x1b[2Jgone", "[2Jgone"),
    ],
)
def test_no_answer_at_all(server: OpenAIServer, raw: str, told: str) -> None:
    server.behave(raw=raw)
    message = failure(lambda: say(model_at(server.url)))
    assert told in message
    assert "--base-url" in message
    assert "\x1b" not in message
    assert len(message) < 450
    assert server.state().requests == 1


def test_a_stream_that_ends_without_an_end_is_broken_off(server: OpenAIServer) -> None:
    server.behave(raw='data: {"choices": [{"delta": {"content": "half"}}]}\n\n')
    assert "broke off its answer" in failure(lambda: say(model_at(server.url)))
    assert server.state().requests == 3


def test_an_empty_answer_is_an_answer(server: OpenAIServer) -> None:
    server.behave(raw='{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}')
    reply = say(model_at(server.url))
    assert (reply.text, reply.stopped_by, reply.first_token_seconds) == ("", "max_new_tokens", None)


def test_half_a_surrogate_pair_can_be_printed(server: OpenAIServer) -> None:
    server.behave(raw='data: {"choices": [{"delta": {"content": "a\\ud83d"}}]}\n\ndata: [DONE]\n\n')
    assert say(model_at(server.url)).text.encode() == b"a?"


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_does_not_pass_is_not_asked_again(server: OpenAIServer, status: int) -> None:
    told = "no: {authorization} and sk-abcdefgh12345678\n" + "x" * 500
    server.behave(fail=9, status=status, message=told)
    message = failure(lambda: say(model_at(server.url)))
    assert f"{status}: no: " in message
    assert "sk-abcdefgh" not in message
    assert len(message) < 450
    assert server.state().requests == 1


@pytest.mark.parametrize(
    "words",
    [
        "This model's maximum context length is 4096 tokens, you requested 9000.",
        "The input (9000 tokens) is longer than the model's context length (4096 tokens).",
        "Input is too long. (context_length_exceeded)",
        "The decoder prompt (length 9000) is longer than the maximum model length of 4096.",
    ],
)
def test_a_prompt_that_is_too_long(server: OpenAIServer, words: str) -> None:
    server.behave(fail=9, status=400, message=words + " Lower 'max_completion_tokens'.")
    assert "lower --budget or budget.text_tokens" in failure(lambda: say(model_at(server.url)))
    assert server.state().requests == 1


def test_parameters_a_model_refuses_are_left_out(server: OpenAIServer) -> None:
    server.behave(unfit=["max_tokens", "temperature", "stream_options"], answer="a b")
    model = model_at(server.url)
    assert say(model).text == "a b"
    body = server.state().body
    assert body["max_completion_tokens"] == 64
    assert not {"max_tokens", "temperature", "stream_options"} & set(body)
    assert server.state().requests == 4
    say(model)
    assert server.state().requests == 5  # it remembers


def test_a_parameter_is_left_out_once(server: OpenAIServer) -> None:
    server.behave(fail=9, status=400, message="the temperature is too high here")
    assert "400: the temperature" in failure(lambda: say(model_at(server.url)))
    assert server.state().requests == 2


def test_the_key(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_at(server.url)
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    say(model)
    for call in (lambda: say(model), model.check):
        monkeypatch.setenv("OPENAI_API_KEY", "wrong-key-123456")
        message = failure(call)
        assert "refused the key in OPENAI_API_KEY (401)" in message
        assert "wrong-key" not in message
        monkeypatch.delenv("OPENAI_API_KEY")
        assert "set OPENAI_API_KEY" in failure(call)
        monkeypatch.setenv("OPENAI_API_KEY", "two\nlines")
        assert "OPENAI_API_KEY holds" in failure(call, ConfigError)
    assert KEY.encode() not in pickle.dumps(model)
    assert KEY not in repr(model)


def test_without_a_key_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with openai_server() as open_to_all:
        model = model_at(open_to_all.url)
        model.check()
        say(model)
        assert open_to_all.state().authorization is None
        say(model_at(open_to_all.url.replace("//", "//ann:s%40fe@")))
        assert open_to_all.state().authorization == "Basic YW5uOnNAZmU="


def test_a_user_and_password_are_not_shown(server: OpenAIServer) -> None:
    url = server.url.replace("//", "//ann:s3same@")
    message = failure(model_at(url).check)
    assert "refused the user and password" in message
    assert "s3same" not in message
    assert "s3same" not in failure(lambda: say(model_at(url)))


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://h:port/v1", "http://[::1/v1"]
)
def test_an_address_that_is_none(url: str) -> None:
    assert "http://localhost:8000/v1" in failure(lambda: model_at(url), ConfigError)


def test_a_wrong_address_does_not_show_its_password() -> None:
    message = failure(lambda: model_at("htp://ann:s3s/ame@host/v1?token=t0ken"), ConfigError)
    assert "host/v1" in message
    assert "s3s" not in message
    assert "t0ken" not in message


def test_the_address_comes_from_the_environment(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url + "/")
    say(model_at(None))
    assert server.state().path == "/v1/chat/completions"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    say(model_at(server.url))  # what is said wins
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert str(model_at(None)._server) == "https://api.openai.com/v1"


def test_a_proxy_of_the_environment_is_used(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert say(model_at("http://model.invalid/v1")).stopped_by == "end"
    assert say(model_at(server.url)).stopped_by == "end"


def test_check(server: OpenAIServer) -> None:
    model_at(server.url).check()
    message = failure(model_at(server.url, "tiny-vl-3").check)
    assert "does not serve tiny-vl-3" in message
    assert "tiny-vl, " in message
    assert message.endswith("and 2 more.")
    assert "/v1" in failure(model_at(server.url.removesuffix("/v1")).check)
    server.behave(raw="<html>")
    assert "does not answer as an OpenAI-compatible server" in failure(model_at(server.url).check)
    server.behave(raw='{"data": "none"}')
    assert "serves no model" in failure(model_at(server.url).check)
    server.behave(hang=1)
    silent = model_at(server.url, timeout_seconds=0.3)
    assert "0.3 s" in failure(silent.check)


def test_a_server_that_has_moved_is_not_followed(server: OpenAIServer) -> None:
    with openai_server() as other:
        server.behave(moved_to=other.url.replace("//", "//ann:s3same@"))
        for call in (lambda: say(model_at(server.url)), model_at(server.url).check):
            message = failure(call)
            assert f"has moved, correct --base-url: {other.url}" in message
        assert other.state().requests == 0


def test_a_server_that_is_not_there(server: OpenAIServer) -> None:
    with socket.socket() as taken:  # bound, but it does not listen
        taken.bind(("127.0.0.1", 0))
        model = model_at(f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        for call in (lambda: say(model), model.check):
            message = failure(call)
            assert "cannot be reached (Connection refused)" in message
            assert "--base-url" in message
    assert "no secure connection" in failure(model_at(server.url.replace("http", "https")).check)


def test_something_else_listens_there(server: OpenAIServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        thread = Thread(target=serve)
        thread.start()
        port = listening.getsockname()[1]
        failure(lambda: say(model_at(f"http://127.0.0.1:{port}/v1", retries=0)))
        thread.join()


def test_many_at_once_but_no_more_than_told(server: OpenAIServer) -> None:
    server.behave(echo=True, together=3)
    prompts = [[batch([float(n)]), f"clip {n}"] for n in range(12)]
    replies = model_at(server.url).replies(prompts, max_new_tokens=8, time_limit_seconds=30)
    assert [reply.text for reply in replies if isinstance(reply, Reply)] == [
        f"clip {n}" for n in range(12)
    ]
    assert server.state().most_at_once == 3


def test_order_is_kept_and_a_failure_loses_no_other(server: OpenAIServer) -> None:
    server.behave(echo=True, late_for="clip 0", hang_for="clip 2")
    prompts = [[f"clip {n}"] for n in range(5)]
    replies = model_at(server.url, retries=0, timeout_seconds=2.0).replies(
        prompts, system="Caption it.", max_new_tokens=8, time_limit_seconds=30
    )
    failed = replies.pop(2)
    assert type(failed) is ModelError
    assert "was silent" in str(failed)
    assert [reply.text for reply in replies if isinstance(reply, Reply)] == [
        "clip 0",
        "clip 1",
        "clip 3",
        "clip 4",
    ]
    assert model_at(server.url).replies([], max_new_tokens=8, time_limit_seconds=9) == []


def test_where_an_event_loop_runs_and_in_threads(server: OpenAIServer) -> None:
    server.behave(echo=True)
    model = model_at(server.url)

    async def notebook() -> str:
        return say(model, "in a loop").text

    assert asyncio.run(notebook()) == "in a loop"
    heard: list[str] = []
    threads = [
        Thread(target=lambda n=n: heard.append(say(model, f"in thread {n}").text)) for n in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(heard) == [f"in thread {n}" for n in range(3)]


def test_an_interruption_ends_it_at_once(server: OpenAIServer) -> None:
    server.behave(hang=9)
    code = (
        "import sys; from videopipe.mllm.server import ServerModel\n"
        "settings = {'timeout_seconds': 99, 'retries': 9, 'concurrency': 2}\n"
        "model = ServerModel('tiny-vl', sys.argv[1], **settings)\n"
        "model.replies([['a'], ['b'], ['c']], max_new_tokens=8, time_limit_seconds=99)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, server.url], stderr=subprocess.PIPE, text=True
    )
    until(lambda: server.state().in_work == 2)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors
    assert "never" not in errors  # nothing was left unawaited or unclosed
    assert KEY not in errors
    state = settled(server)
    assert (state.requests, state.cut_off) == (2, 2)


def settled(server: OpenAIServer) -> Any:
    """What the server has seen once nothing is in work."""
    until(lambda: server.state().in_work == 0)
    return server.state()


def until(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        time.sleep(0.02)
    raise AssertionError("it never came")
