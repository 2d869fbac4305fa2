"""Speech: where it is, what models make of it, and how it gets into the library.

A tiny CTC model learns a language of tones while the tests start, so that words really come out
where they were said. A tiny Whisper of random weights speaks nonsense, the same for everybody.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_audio import film, spoilt
from videos import make_video

import videopipe
from videopipe import Library
from videopipe.config import load
from videopipe.describe import load_transcriber, recogniser, transcribe
from videopipe.describe.recogniser import Transcriber
from videopipe.describe.speech import _placed, _sensible
from videopipe.describe.voice import RATE, Speech, stretches
from videopipe.errors import ConfigError, ModelError
from videopipe.ingest import IndexReport
from videopipe.media import Sound, audio
from videopipe.types import ClipText, TimedText

Samples = NDArray[np.float32]
LETTERS = "adeinorst"
LOW, HIGH = (350, 470, 620), (900, 1250, 1700)  # Hz; a letter is one of each
LETTER, PAUSE, SPACE = 1600, 800, 3200  # samples
TOKENS = ["<pad>", "|", "<unk>", *LETTERS]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# --- a language of tones -------------------------------------------------------------------------


def tones(*frequencies: float, loud: float = 0.2, samples: int = LETTER) -> Samples:
    time = np.arange(samples) / RATE
    wave = sum(np.sin(2 * np.pi * frequency * time) for frequency in frequencies)
    return (np.hanning(samples) ** 0.5 * wave * loud).astype(np.float32)


def say(words: Sequence[str]) -> tuple[Samples, list[tuple[int, int, str]]]:
    """Words as sound, and each letter with the samples from and to which it sounds."""
    parts: list[Samples] = []
    marks, place = [], 0
    for word in words:
        for letter in f"{word}|":
            number = LETTERS.find(letter)
            if letter == "|":
                sound, pause = tones(2600, loud=0.05), SPACE
            else:
                sound, pause = tones(LOW[number % 3], HIGH[number // 3]), PAUSE
            marks.append((place, place + LETTER, letter))
            parts += [sound, np.zeros(pause, np.float32)]
            place += LETTER + pause
    return np.concatenate(parts), marks


def length(word: str) -> float:
    """Seconds from its first letter to the end of its last."""
    return (len(word) * (LETTER + PAUSE) - PAUSE) / RATE


def story(*lines: tuple[float, str], seconds: float) -> Samples:
    """Lines said at these seconds over the noise of a room."""
    rng = np.random.default_rng(7)
    samples = rng.normal(0, 0.002, round(seconds * RATE)).astype(np.float32)
    for start, line in lines:
        said, _ = say(line.split())
        samples[round(start * RATE) :][: len(said)] += said
    return samples


def sounds(samples: Samples, size: int = RATE) -> list[Sound]:
    return [Sound(i / RATE, samples[i : i + size]) for i in range(0, len(samples), size)]


@pytest.fixture(scope="module")
def ctc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wav2vec 2.0 that has learnt the letters, in a few seconds."""
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
    )

    folder = tmp_path_factory.mktemp("ctc")
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    model = Wav2Vec2ForCTC(
        Wav2Vec2Config(
            vocab_size=len(TOKENS),
            pad_token_id=0,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=64,
            conv_dim=(20,) * 7,
            feat_extract_norm="layer",
            do_stable_layer_norm=True,
            num_conv_pos_embeddings=8,
            num_conv_pos_embedding_groups=2,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            activation_dropout=0.0,
            feat_proj_dropout=0.0,
            final_dropout=0.0,
            layerdrop=0.0,
            mask_time_prob=0.0,
        )
    )
    steps = 120
    optimizer = torch.optim.AdamW(model.parameters())
    for step in range(steps):
        waves, labels = zip(*(_lesson(rng) for _ in range(4)), strict=True)
        logits = model(torch.from_numpy(np.stack(waves))).logits
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(np.concatenate(labels))
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / steps)
        optimizer.step()
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(TOKENS)}))
    Wav2Vec2CTCTokenizer(
        str(folder / "vocab.json"), bos_token=None, eos_token=None
    ).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)
    return folder


def _lesson(rng: np.random.Generator) -> tuple[Samples, NDArray[np.int64]]:
    """Two words with, for each frame of 20 ms, the letter that sounds in its middle."""
    wave, marks = say(["".join(rng.choice(list(LETTERS), 4)) for _ in range(2)])
    wave = wave + rng.normal(0, 0.003, len(wave)).astype(np.float32)
    middles = np.arange((len(wave) - 400) // 320 + 1) * 320 + 200
    labels = np.zeros(len(middles), np.int64)
    for start, end, letter in marks:
        labels[(middles >= start + 200) & (middles < end - 200)] = TOKENS.index(letter)
    return (wave - wave.mean()) / wave.std(), labels


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Whisper of random weights for six seconds at a time, with its real tokens."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperTokenizer,
    )

    folder = tmp_path_factory.mktemp("whisper")
    letters = sorted(ByteLevel.alphabet())
    end = "<|endoftext|>"
    tokenizer = WhisperTokenizer(vocab={t: i for i, t in enumerate([*letters, end])}, merges=[])
    names = ["startoftranscript", "en", "de", "translate", "transcribe", "startoflm"]
    names += ["startofprev", "nospeech", "notimestamps"]
    tokenizer.add_special_tokens({"additional_special_tokens": [f"<|{n}|>" for n in names]})
    tokenizer.add_tokens([f"<|{i * 0.02:.2f}|>" for i in range(1501)])
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in [*names, "endoftext"]}
    ends = {f"{kind}_token_id": ids["endoftext"] for kind in ("pad", "bos", "eos")}
    starts = {"decoder_start_token_id": ids["startoftranscript"]}
    torch.manual_seed(3)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=len(tokenizer),
            d_model=32,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_source_positions=300,
            max_target_positions=64,
            init_std=0.5,  # the usual 0.02 would make it deaf
            **ends,
            **starts,
        )
    )
    model.generation_config = GenerationConfig(
        max_length=64,
        is_multilingual=True,
        lang_to_id={f"<|{name}|>": ids[name] for name in ("en", "de")},
        task_to_id={name: ids[name] for name in ("transcribe", "translate")},
        no_timestamps_token_id=ids["notimestamps"],
        prev_sot_token_id=ids["startofprev"],
        max_initial_timestamp_index=50,
        suppress_tokens=[],
        begin_suppress_tokens=[],
        **ends,
        **starts,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    WhisperFeatureExtractor(chunk_length=6).save_pretrained(folder)
    return folder


# --- where somebody speaks -----------------------------------------------------------------------


def spans(samples: Samples, longest: float = 30.0, size: int = RATE) -> list[tuple[float, float]]:
    found = list(stretches(sounds(samples, size), longest))
    for one, other in pairwise(found):
        assert one.start + one.seconds <= other.start + 1e-9
    for stretch in found:
        assert 0 < stretch.seconds <= longest
        place = round(stretch.start * RATE)
        np.testing.assert_array_equal(
            stretch.samples, samples[place : place + len(stretch.samples)]
        )
    return [(stretch.start, stretch.start + stretch.seconds) for stretch in found]


def steady(kind: str, seconds: float = 40.0) -> Samples:
    time = np.arange(round(seconds * RATE)) / RATE
    rng = np.random.default_rng(1)
    waves = {
        "silence": 0 * time,
        "a tone": 0.3 * np.sin(2 * np.pi * 440 * time),
        "hum": sum(0.1 / k * np.sin(2 * np.pi * 50 * k * time) for k in range(1, 12)),
        "white noise": rng.normal(0, 0.1, len(time)),
        "a tone now and then": (time % 10 < 2) * 0.3 * np.sin(2 * np.pi * 440 * time),
        "noise now and then": (time % 10 < 2) * rng.normal(0, 0.1, len(time)),
        "beeps": (time % 0.5 < 0.2) * 0.3 * np.sin(2 * np.pi * 1000 * time),
        "clicks": (np.arange(len(time)) % 8000 == 0) * 0.9,
    }
    return np.asarray(waves[kind], np.float32)


@pytest.mark.parametrize(
    "kind",
    [
        "silence",
        "a tone",
        "hum",
        "white noise",
        "a tone now and then",
        "noise now and then",
        "beeps",
        "clicks",
    ],
)
def test_what_is_no_speech(kind: str) -> None:
    assert spans(steady(kind)) == []


@pytest.mark.parametrize("background", ["silence", "hum", "white noise"])
def test_speech_is_found_over_a_background(background: str) -> None:
    samples = steady(background) * np.float32(0.1)
    for start in (8.0, 25.0):
        said, _ = say(["node", "trains", "sand", "ears"])
        samples[round(start * RATE) :][: len(said)] += said
    found = spans(samples)
    assert len(found) == 2
    for (start, end), said_at in zip(found, (8.0, 25.0), strict=True):
        assert said_at - 0.4 <= start <= said_at + 0.05
        assert end == pytest.approx(said_at + len(said) / RATE, abs=0.6)


def test_speech_without_a_pause_is_cut_at_its_quietest() -> None:
    said, _ = say(["trains"] * 40)
    whole = spans(said)
    assert whole[0][0] == 0
    assert [b[0] - a[1] for a, b in pairwise(whole)] == pytest.approx([0] * (len(whole) - 1))
    short = spans(said, longest=5.0)
    assert len(short) > len(said) / RATE / 5
    envelope = np.abs(said)
    for _, end in short[:-1]:
        around = envelope[round(end * RATE) - 200 : round(end * RATE) + 200]
        assert around.max() < 0.1


@given(sizes=st.lists(st.integers(1, 90_000), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_how_the_sound_comes_in_pieces_changes_nothing(sizes: list[int]) -> None:
    samples = story((2.0, "one to ten"), (14.5, "a sand dune"), (28.0, "rain"), seconds=31.3)
    pieces, place = [], 0
    while place < len(samples):
        size = sizes[len(pieces) % len(sizes)] + 500
        pieces.append(Sound(place / RATE, samples[place : place + size]))
        place += size
    found = [(s.start, s.seconds) for s in stretches(pieces)]
    assert found == [(s.start, s.seconds) for s in stretches(sounds(samples))]
    assert len(found) == 3


def test_shortest_sounds() -> None:
    assert list(stretches([])) == []
    for count in (1, 319, 320, 321, 511, 512, 513, 1000):
        assert spans(np.full(count, 0.5, np.float32)) == []


@pytest.mark.media
def test_the_voice_of_a_real_video(media: Path) -> None:
    (stretch,) = stretches(audio(media / "tc_nasa13013.mp4"))
    assert stretch.start < 1.0
    assert stretch.start + stretch.seconds == pytest.approx(12.3, abs=0.3)
    for silent in ("intel_car.mp4", "vllava_demo.mp4", "imageio_cockatoo.mp4"):
        assert list(stretches(audio(media / silent))) == []


# --- a model that knows its letters --------------------------------------------------------------

STORY = ((3.0, "dinner is on"), (12.5, "trains to a node"), (21.0, "ants and roses"))


def test_words_come_out_where_they_are_said(ctc: Path) -> None:
    samples = story(*STORY, seconds=27)
    reached: list[float] = []
    told = transcribe(sounds(samples), load_transcriber(str(ctc)), progress=reached.append)
    assert [line.text for line in told.lines] == [text for _, text in STORY]
    for line, (start, text) in zip(told.lines, STORY, strict=True):
        words = text.split()
        assert line.start == pytest.approx(start, abs=0.06)
        end = start + sum(len(say([w])[0]) for w in words[:-1]) / RATE + length(words[-1])
        assert line.end == pytest.approx(end, abs=0.06)
    assert (told.language, told.model) == (None, str(ctc))
    assert reached == sorted(reached)
    assert len(reached) > 27  # each second of sound, and while the model works


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("masked", [True, False])
def test_letters_do_not_depend_on_the_company(
    ctc: Path, tmp_path: Path, batch: int, masked: bool
) -> None:
    folder = shutil.copytree(ctc, tmp_path / "model")
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"return_attention_mask": masked}))
    lines = [(2.0 + 6 * i, text) for i, text in enumerate(("rain", "sand in a sonata", "to"))]
    told = transcribe(sounds(story(*lines, seconds=20)), Transcriber(str(folder)), batch=batch)
    assert [line.text for line in told.lines] == [text for _, text in lines]


def test_a_script_without_spaces_is_cut_at_pauses(ctc: Path) -> None:
    transcriber = load_transcriber(str(ctc))
    frames = [0] * 10 + [3] * 3 + [0] * 2 + [4] + [0] * 40 + [5] + [0] * 5 + [2, 6, 0, 6]
    words = [(spaced, w.text) for spaced, w in transcriber._words(frames, 0.02)]
    assert words == [(False, "ad"), (False, "eii")]
    assert [w.start for _, w in transcriber._words(frames, 0.02)] == pytest.approx([0.2, 1.12])


# --- Whisper -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spoken() -> list[Speech]:
    samples = story((2.0, "one to ten"), (9.0, "a sand dune is red"), (18.0, "rain"), seconds=22)
    return list(stretches(sounds(samples), 6.0))


def by_hand(folder: Path, stretch: Speech, language: str) -> list[tuple[float, float, str]]:
    """What the official classes make of one stretch."""
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    processor = WhisperProcessor.from_pretrained(folder)
    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    features = processor(stretch.samples, sampling_rate=RATE, return_tensors="pt").input_features
    with torch.no_grad():
        made = model.generate(
            features,
            language=language,
            task="transcribe",
            return_timestamps=True,
            return_segments=True,
            max_new_tokens=32,
        )
    return [
        (
            float(segment["start"]),
            float(segment["end"]),
            processor.tokenizer.decode(segment["tokens"], skip_special_tokens=True),
        )
        for segment in made["segments"][0]
    ]


@pytest.mark.parametrize("language", ["en", "de"])
def test_whisper_as_the_official_classes_run_it(
    whisper: Path, spoken: list[Speech], language: str
) -> None:
    transcriber = load_transcriber(str(whisper))
    assert transcriber.longest == 6.0
    beats: list[None] = []
    together = transcriber.hear(spoken, language, lambda: beats.append(None))
    expected = [by_hand(whisper, stretch, language) for stretch in spoken]
    assert any(len(lines) > 1 for lines in expected)
    assert len({str(lines) for lines in expected}) > 1, "the model does not listen"
    for lines, hand in zip(together, expected, strict=True):
        assert [(line.start, line.end, line.text) for line in lines] == hand
    alone = [transcriber.hear([stretch], language, lambda: None)[0] for stretch in spoken]
    assert alone == together
    assert len(beats) > 10


def test_a_whisper_that_does_not_end_is_stopped(
    whisper: Path, spoken: list[Speech], monkeypatch: pytest.MonkeyPatch
) -> None:
    transcriber = load_transcriber(str(whisper))
    beats: list[None] = []
    transcriber.hear(spoken, "en", lambda: beats.append(None))
    monkeypatch.setattr(recogniser, "_PASSES", 0)
    few: list[None] = []
    lines = transcriber.hear(spoken, "en", lambda: few.append(None))
    assert len(lines) == len(spoken)
    assert len(few) < len(beats) / 4


def test_whisper_lines_lie_in_their_stretches(whisper: Path, spoken: list[Speech]) -> None:
    samples = story((2.0, "one to ten"), (9.0, "a sand dune is red"), (18.0, "rain"), seconds=22)
    transcriber = load_transcriber(str(whisper))
    told = [transcribe(sounds(samples), transcriber, batch=batch) for batch in (1, 2, 8)]
    assert told[0] == told[1] == told[2]
    assert told[0].lines
    assert told[0].language in ("en", "de")
    for line in told[0].lines:
        assert line.start < line.end
        assert any(s.start <= line.start and line.end <= s.start + s.seconds + 1e-9 for s in spoken)
    for one, other in pairwise(told[0].lines):
        assert one.end <= other.start
    german = transcribe(sounds(samples), transcriber, language="ger")
    assert german.language == "de"


def test_the_language_is_what_most_stretches_are_in(whisper: Path, spoken: list[Speech]) -> None:
    transcriber = load_transcriber(str(whisper))
    model, inputs = transcriber._model, transcriber._inputs
    votes = [int(model.detect_language(inputs([s])["input_features"])[0]) for s in spoken]
    tokens = {i: name.strip("<|>") for name, i in model.generation_config.lang_to_id.items()}
    most = max(set(votes), key=votes.count)
    assert transcriber.detect(spoken, lambda: None) == tokens[most]
    assert transcriber.detect([], lambda: None) is None


def test_silence_says_nothing(whisper: Path) -> None:
    told = transcribe(sounds(np.zeros(20 * RATE, np.float32)), load_transcriber(str(whisper)))
    assert (told.lines, told.language) == ((), None)


def test_a_language_it_does_not_know(whisper: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not know the language 'fr' .* (de|en)"):
        transcribe([], load_transcriber(str(whisper)), language="fr")


def test_an_english_whisper_is_told_no_language(
    whisper: Path, tmp_path: Path, spoken: list[Speech]
) -> None:
    folder = shutil.copytree(whisper, tmp_path / "model")
    file = folder / "generation_config.json"
    tree = json.loads(file.read_text()) | {"is_multilingual": False}
    del tree["lang_to_id"], tree["task_to_id"]
    file.write_text(json.dumps(tree))
    transcriber = Transcriber(str(folder))
    assert transcriber.detect(spoken, lambda: None) is None
    assert any(transcriber.hear(spoken, "en", lambda: None))


def test_a_whisper_without_times_gives_whole_texts(
    whisper: Path, tmp_path: Path, spoken: list[Speech]
) -> None:
    folder = shutil.copytree(whisper, tmp_path / "model")
    file = folder / "generation_config.json"
    tree = json.loads(file.read_text())
    del tree["no_timestamps_token_id"]
    file.write_text(json.dumps(tree))
    heard = Transcriber(str(folder)).hear(spoken, "en", lambda: None)
    assert [(lines[0].start, lines[0].end) for lines in heard] == [(0, s.seconds) for s in spoken]


# --- what a model makes up -----------------------------------------------------------------------


def test_repeats_and_loops_are_left_out() -> None:
    said = ["Hello there.", " hello  there", "", "♪ ♪", "Bye.", "so so so so so so " * 20, "Bye!"]
    lines = [TimedText(i, i + 1, text) for i, text in enumerate(said)]
    kept = [(line.start, line.text) for line in _sensible(lines)]
    assert kept == [(0, "Hello there."), (4, "Bye.")]
    nature = (
        "Rain on a mountain is not the rain on a plain; one feeds the other, slowly, for years."
    )
    assert [line.text for line in _sensible([TimedText(0, 1, nature)])] == [nature]


@given(
    lines=st.lists(st.tuples(st.floats(0, 40), st.floats(0, 40)), max_size=8),
    count=st.integers(1, 30 * RATE),
)
def test_lines_stay_in_their_stretch_and_in_order(
    lines: list[tuple[float, float]], count: int
) -> None:
    stretch = Speech(100.0, np.broadcast_to(np.float32(0), count))
    placed = list(_placed(stretch, [TimedText(*line, "x") for line in lines]))
    assert len(placed) <= len(lines)
    edges = [edge for line in placed for edge in (line.start, line.end)]
    assert edges == sorted(edges)
    assert all(line.start < line.end for line in placed)
    assert all(100 <= edge <= 100 + stretch.seconds + 1e-9 for edge in edges)


# --- models that cannot be used ------------------------------------------------------------------


def refused(name: Path | str) -> str:
    with pytest.raises(ModelError) as caught:
        Transcriber(str(name))
    message = str(caught.value)
    assert str(name) in message
    assert message.endswith(".")
    assert "\n" not in message
    return message


def test_models_that_cannot_be_used(ctc: Path, tmp_path: Path) -> None:
    assert "no folder" in refused(tmp_path / "missing")
    assert "cannot be loaded" in refused("somebody/no-such-model")
    (tmp_path / "empty").mkdir()
    assert "cannot be loaded" in refused(tmp_path / "empty")

    from transformers import BertConfig

    BertConfig().save_pretrained(tmp_path / "bert")
    assert "(bert) is no speech-recognition model" in refused(tmp_path / "bert")

    def changed(name: str, file: str, **values: Any) -> Path:
        folder = Path(shutil.copytree(ctc, tmp_path / name))
        tree = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(tree | values))
        return folder

    part = changed("part", "config.json", architectures=["Wav2Vec2ForPreTraining"])
    assert "(Wav2Vec2ForPreTraining) is no speech-recognition model" in refused(part)
    slow = changed("slow", "preprocessor_config.json", sampling_rate=8000)
    assert "listens at 8000 Hz" in refused(slow)
    unsafe = changed("unsafe", "config.json")
    torch.save({}, unsafe / "pytorch_model.bin")
    (unsafe / "model.safetensors").unlink()
    assert "safetensors" in refused(unsafe)


def test_a_model_that_fails_says_so(ctc: Path) -> None:
    transcriber = Transcriber(str(ctc))
    transcriber._model.lm_head = torch.nn.Linear(7, 3)
    with pytest.raises(ModelError, match="cannot transcribe"):
        transcriber.hear([Speech(0.0, np.zeros(RATE, np.float32))], None, lambda: None)


# --- in the library ------------------------------------------------------------------------------


def index(library: Path, *paths: Path, model: Path, more: Sequence[str] = ()) -> IndexReport:
    quick = ["run.executor=local", "ocr.enabled=false", "facts.enabled=false"]
    config = load(overrides=[*quick, f"asr.model={model}", *more]).config
    return videopipe.index(paths, library, config=config)


def texts(library: Path, name: str) -> list[ClipText]:
    with Library.open(library) as opened:
        return opened.texts(opened.clips(opened.get(name).video_id))


def test_speech_is_found_and_cited(ctc: Path, tmp_path: Path) -> None:
    samples = story(*STORY, seconds=27)
    path = film(tmp_path / "tale.mkv", [(1.0, samples)], codec="flac", seconds=28)
    report = index(tmp_path / "library", path, model=ctc, more=["asr.language=en"])
    assert report.error() is None
    assert report.outcomes[0].stage_seconds["speech"] > 0
    stored = texts(tmp_path / "library", "tale")
    assert {(t.source, t.language, t.model) for t in stored} == {("asr", "en", str(ctc))}
    lines = sorted({line for text in stored for line in text.lines}, key=lambda line: line.start)
    assert [line.text for line in lines] == [text for _, text in STORY]
    assert [line.start for line in lines] == pytest.approx([s + 1 for s, _ in STORY], abs=0.06)
    with Library.open(tmp_path / "library") as library:
        ((match, *_),) = (hit.matches for hit in library.search("trains", 1))
    assert match.document.model == str(ctc)
    assert "trains to a node" in match.text


def test_videos_that_need_no_transcript(ctc: Path, tmp_path: Path) -> None:
    sound = [(0.0, story((1.0, "sand"), seconds=4))]
    told = film(tmp_path / "told.mkv", sound)
    told.with_suffix(".srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nSand in my ears.\n")
    mute = make_video(tmp_path / "mute.mp4", seconds=2)
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    broken = spoilt(film(tmp_path / "broken.mkv", [(0.0, noise)], codec="flac"), (0.0, 1.0))
    for path in (told, mute, broken):
        assert index(tmp_path / "library", path, model=ctc).error() is None
    assert {t.source for t in texts(tmp_path / "library", "told")} == {"subtitle"}
    assert texts(tmp_path / "library", "mute") == texts(tmp_path / "library", "broken") == []
    with Library.open(tmp_path / "library") as library:
        assert "broken.mkv cannot be decoded" in library.get("broken").warnings[-1]


def test_a_wrong_model_is_the_error_of_the_run(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", [(0.0, story((1.0, "sand"), seconds=3))])
    with pytest.raises(ModelError, match="no folder"):
        index(tmp_path / "library", path, model=tmp_path / "nowhere")
