"""The speech-recognition models of transformers.

Three kinds are told apart by their configuration: Whisper, which writes down times; other models
that write a text for a whole stretch; and CTC models, whose letters stand in time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Any, Literal

from videopipe.describe.voice import RATE, Speech
from videopipe.errors import ConfigError, ModelError, VideopipeError
from videopipe.media import same_language
from videopipe.types import TimedText

Beat = Callable[[], None]
"""Called while a model works, as a sign of life."""

_SECONDS = 15.0  # longest stretch for a model that has no window of its own
_TOKENS = 15  # a second of speech at most; scripts of many bytes take the most
_PASSES = 8  # over one window, which Whisper may ask for, before it counts as lost
_PAUSE = 0.6  # seconds between two words from which the next begins a line
_LINE = 8.0  # seconds of words in a line


@lru_cache(maxsize=1)
def load_transcriber(name: str) -> Transcriber:
    """A speech-recognition model by hub name or folder; the last one stays loaded.

    Raises:
        ModelError: as for :class:`Transcriber`.
    """
    return Transcriber(name)


class Transcriber:
    """One speech-recognition model, on a GPU where there is one, in float32.

    ``longest`` is how many seconds it takes in at once.

    Raises:
        ModelError: it is not there, cannot be downloaded, is no speech-recognition model, or is
            not stored as safetensors.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        with _quiet():
            self._kind, self._extractor, self._tokenizer, self._model = _load(name)
        self._generation = self._model.generation_config if self._kind != "ctc" else None
        own = getattr(self._extractor, "chunk_length", None)
        self._fixed = own is not None  # every stretch is padded to one length
        self.longest = float(min(own, 30)) if own is not None else _SECONDS
        self._languages = dict(getattr(self._generation, "lang_to_id", None) or {})
        if not getattr(self._generation, "is_multilingual", True):
            self._languages = {}

    def known(self, language: str) -> str:
        """The model's own code for ``language``; itself where the model is not told of any.

        Raises:
            ConfigError: it is none of the model's languages.
        """
        codes = [str(token).strip("<|>") for token in self._languages]
        for code in codes:
            if same_language(code, language):
                return code
        if codes:
            raise ConfigError(
                f"The speech model '{self.name}' does not know the language '{language}' of "
                f"asr.language; leave it out or give a code such as {', '.join(codes[:3])}."
            )
        return language

    def detect(self, stretches: Sequence[Speech], beat: Beat) -> str | None:
        """The language that most of ``stretches`` are in, where the model can tell."""
        if not self._languages or not stretches:
            return None
        tokens = {token: name.strip("<|>") for name, token in self._languages.items()}
        votes = Counter[str]()
        with self._running():
            for stretch in stretches:
                found = self._model.detect_language(self._inputs([stretch])["input_features"])
                votes[tokens[int(found[0])]] += 1
                beat()
        return votes.most_common(1)[0][0]

    def hear(
        self, stretches: Sequence[Speech], language: str | None, beat: Beat
    ) -> list[list[TimedText]]:
        """The lines of each stretch, in seconds from its beginning, as the model gives them."""
        # Without a mask a model hears the silence that makes shorter stretches as long as others.
        together = self._fixed or getattr(self._extractor, "return_attention_mask", False)
        lines: list[list[TimedText]] = []
        with self._running():
            for several in [stretches] if together else [[stretch] for stretch in stretches]:
                if self._kind == "ctc":
                    lines += self._letters(several)
                elif self._kind == "whisper":
                    lines += self._segments(several, language, beat)
                else:
                    lines += self._texts(several, beat)
                beat()
        return lines

    def _segments(
        self, stretches: Sequence[Speech], language: str | None, beat: Beat
    ) -> list[list[TimedText]]:
        assert self._generation is not None
        told = {"language": language, "task": "transcribe"} if self._languages else {}
        found = self._model.generate(
            **self._inputs(stretches),
            **told,
            **self._how(beat),
            return_timestamps=True,
            return_segments=True,
            temperature=0.0,
            condition_on_prev_tokens=False,
            no_speech_threshold=0.6,
            logprob_threshold=-1.0,
        )
        first_time = self._generation.no_timestamps_token_id + 1
        return [
            [
                TimedText(
                    float(segment["start"]),
                    float(segment["end"]),
                    self._text([t for t in segment["tokens"].tolist() if t < first_time]),
                )
                for segment in segments
            ]
            for segments in found["segments"]
        ]

    def _texts(self, stretches: Sequence[Speech], beat: Beat) -> list[list[TimedText]]:
        found = self._model.generate(**self._inputs(stretches), **self._how(beat))
        return [
            [TimedText(0.0, stretch.seconds, self._text(tokens))]
            for stretch, tokens in zip(stretches, found.tolist(), strict=True)
        ]

    def _letters(self, stretches: Sequence[Speech]) -> list[list[TimedText]]:
        inputs = self._inputs(stretches)
        best = self._model(**inputs).logits.argmax(dim=-1).cpu().numpy()
        step = getattr(self._model.config, "inputs_to_logits_ratio", None)
        longest = max(len(stretch.samples) for stretch in stretches)
        samples = float(step) if step else longest / best.shape[1]
        lines = []
        for stretch, tokens in zip(stretches, best, strict=True):
            padding = ceil((longest - len(stretch.samples)) / samples)
            own = tokens[: len(tokens) - padding].tolist()
            if getattr(self._tokenizer, "word_delimiter_token", None) is None:
                lines.append([TimedText(0.0, stretch.seconds, self._text(own))])
            else:
                lines.append(list(_lines(self._words(own, samples / RATE))))
        return lines

    def _words(self, tokens: Sequence[int], seconds: float) -> Iterator[tuple[bool, TimedText]]:
        """Words, and whether a space stands before each; a frame lasts ``seconds``."""
        tokenizer = self._tokenizer
        between = tokenizer.convert_tokens_to_ids(tokenizer.word_delimiter_token)
        silent = {*tokenizer.all_special_ids, self._model.config.pad_token_id} - {between}
        word: TimedText | None = None
        spaced, frame = False, 0
        for token, same in groupby(tokens):
            start, frame = frame, frame + len(list(same))
            if token == between:
                if word:
                    yield spaced, word
                word, spaced = None, True
            elif token not in silent:
                letter = str(tokenizer.convert_ids_to_tokens(token))
                if word and start * seconds - word.end > _PAUSE:
                    yield spaced, word
                    word, spaced = None, False
                begin, before = (word.start, word.text) if word else (start * seconds, "")
                word = TimedText(begin, frame * seconds, before + letter)
        if word:
            yield spaced, word

    def _how(self, beat: Beat) -> dict[str, Any]:
        """Greedy, of bounded length, with a sign of life for every token."""
        import torch

        config = self._model.config
        room = getattr(config, "max_target_positions", None)
        most = int(min(_TOKENS * self.longest, room // 2 if room else 1e9))
        steps = 0

        def watch(tokens: Any, scores: Any, **_: Any) -> Any:
            nonlocal steps
            steps += 1
            beat()
            lost = steps > _PASSES * most
            return torch.full((len(tokens),), lost, dtype=torch.bool, device=tokens.device)

        return {
            "do_sample": False,
            "num_beams": 1,
            "max_new_tokens": most,
            "stopping_criteria": [watch],
        }

    def _inputs(self, stretches: Sequence[Speech]) -> Any:
        padding = {} if self._fixed else {"padding": True}
        return self._extractor(
            [stretch.samples for stretch in stretches],
            sampling_rate=RATE,
            return_tensors="pt",
            **padding,
        ).to(self._model.device)

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))

    @contextmanager
    def _running(self) -> Iterator[None]:
        import torch

        with _quiet(), torch.inference_mode():
            try:
                yield
            except VideopipeError:
                raise
            except Exception as error:
                raise ModelError(
                    f"The speech model '{self.name}' cannot transcribe ({_reason(error)}); try "
                    "another, such as openai/whisper-small."
                ) from error


def _lines(words: Iterable[tuple[bool, TimedText]]) -> Iterator[TimedText]:
    """Words joined until there is a pause or the line gets too long."""
    line: TimedText | None = None
    for spaced, word in words:
        if line and word.start - line.end <= _PAUSE and word.end - line.start <= _LINE:
            line = TimedText(line.start, word.end, line.text + " " * spaced + word.text)
            continue
        if line:
            yield line
        line = word
    if line:
        yield line


def _load(name: str) -> tuple[Literal["whisper", "text", "ctc"], Any, Any, Any]:
    """Kind, feature extractor, tokenizer and model."""
    import torch
    from transformers import (
        AutoConfig,
        AutoFeatureExtractor,
        AutoModelForCTC,
        AutoModelForSpeechSeq2Seq,
        AutoTokenizer,
    )
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CTC_MAPPING,
        MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING,
    )

    local = Path(name).is_dir()
    if not local and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise ModelError(f"There is no folder '{name}' with a speech model; check asr.model.")
    how: dict[str, Any] = {"trust_remote_code": False, "local_files_only": local}
    try:
        config = AutoConfig.from_pretrained(name, **how)
        made = config.architectures or (config.model_type,)
        factory: Any
        if _is_one_of(MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING, config):
            factory = AutoModelForSpeechSeq2Seq
        elif _is_one_of(MODEL_FOR_CTC_MAPPING, config):
            factory = AutoModelForCTC
        else:
            raise ModelError(
                f"The model '{name}' ({', '.join(made)}) is no speech-recognition model; give one "
                "such as openai/whisper-small as asr.model."
            )
        listener: Any = AutoFeatureExtractor
        extractor = listener.from_pretrained(name, **how)
        tokenizer = AutoTokenizer.from_pretrained(name, **how)
        model = factory.from_pretrained(name, dtype=torch.float32, use_safetensors=True, **how)
    except ModelError:
        raise
    except Exception as error:  # the libraries below raise nearly every class there is
        raise ModelError(
            f"The speech model '{name}' cannot be loaded ({_reason(error)}); give the name or "
            "folder of a transformers speech-recognition model stored as safetensors."
        ) from error
    rate = getattr(extractor, "sampling_rate", RATE)
    if rate != RATE:
        raise ModelError(
            f"The speech model '{name}' listens at {rate} Hz; give one that listens at {RATE} Hz."
        )
    model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    if factory is AutoModelForCTC:
        return "ctc", extractor, tokenizer, model
    generation = model.generation_config
    timed = getattr(generation, "no_timestamps_token_id", None) is not None
    return "whisper" if timed else "text", extractor, tokenizer, model


def _is_one_of(models: Any, config: Any) -> bool:
    """Whether the checkpoint is what ``models`` has for its configuration, not a part of it."""
    if type(config) not in models:
        return False
    wanted = models[type(config)].__name__
    return wanted in (config.architectures or (wanted,))


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars and advice of transformers."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
