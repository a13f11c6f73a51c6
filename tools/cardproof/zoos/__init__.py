"""Zoos: where networks come from. Importing this module, and loading a built-in zoo, imports no torch."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from msgspec import convert

from cardproof.core.digests import digest_of_files
from cardproof.core.errors import did_you_mean, error_text
from cardproof.core.measurements import Curve, Preprocessing, Recipe
from cardproof.core.paths import is_regular, suggest_file

if TYPE_CHECKING:
    from torch import nn

BUILT_IN = {
    "res2next": "res2next.zoo:zoo",
    "timm": "cardproof.zoos.timm:zoo",
    "torchvision": "cardproof.zoos.torchvision:zoo",
    "transformers": "cardproof.zoos.transformers:zoo",
}
"""Short names of ``--zoo``; anything else is ``package.module:object`` or ``path/to/file.py:object``."""


MOST_NEAR = 3
"""Names of a zoo that are suggested for one that it does not have."""


MOST_SIDE = 2**20
"""Largest side of an image of which a zoo's statement is believed."""


class ZooError(Exception):
    """A zoo that cannot be loaded; the message states the cause and what to do."""


@runtime_checkable
class Zoo(Protocol):
    """Where networks come from.

    Of a custom zoo, ``digest`` is asked in a process of its own at every build, and may import torch.

    Optional: ``known_as(name, weights)`` returns the present name of a model, by the zoo's renames and by the file name
    of the card's weights. Built-in zoos may have four more methods, which must not import torch:
    ``find_weights(name, given)`` returns the local file of a model's weights, if there is one,
    ``training_log(name)`` the name of the log that comes with the weights and its recipe, ``training_curve(name)`` an
    object with the attributes of :class:`cardproof.core.measurements.Curve` from that log, or None, and
    ``diagram(name)`` how the blocks of the network are built, in the form of
    :class:`cardproof.zoos.metadata.Diagram`. In the worker that measures, ``weights_of(name)`` gives the zoo's names of
    all weights of a network with the number of classes of each, and ``stated_results(name)`` the results that the zoo's
    own metadata state for them.

    ``models()``, the names of all models, lets ``cardproof init`` write cards for them. Zoos with metadata have
    ``published(name)``, ``entries()`` with the names of all weights, and ``address()`` with its location;
    ``knows(name)`` returns whether a name that is not in the list is a model too.
    """

    name: str

    def build(self, name: str) -> nn.Module:
        """Return the network with its default head; weights are not needed. Any exception is this model's error."""

    def preprocessing(self, name: str) -> Any:
        """Return an object or mapping with the fields of ``cardproof.core.measurements.Preprocessing``, or None."""

    def weights(self, name: str) -> Any:
        """Return information about the weights, or None."""

    def recipe(self, name: str) -> Any:
        """Return the training recipe, or None."""

    def digest(self, name: str) -> str:
        """Return a digest of the source code of the network, without importing torch."""


class _ZooAdapter:
    """Wraps a callable ``name -> nn.Module``, or an object with a part of the protocol, as a zoo."""

    def __init__(self, spec: str, thing: Any) -> None:
        self.name = spec
        self._wrapped = thing

    def build(self, name: str) -> nn.Module:
        network: nn.Module = getattr(self._wrapped, "build", self._wrapped)(name)
        return network

    def preprocessing(self, name: str) -> Any:
        return self._call("preprocessing", name)

    def weights(self, name: str) -> Any:
        return self._call("weights", name)

    def recipe(self, name: str) -> Any:
        return self._call("recipe", name)

    def known_as(self, name: str, weights: str | None) -> str:
        function = getattr(self._wrapped, "known_as", None)
        return str(function(name, weights)) if function else name

    def models(self) -> tuple[str, ...]:
        function = getattr(self._wrapped, "models", None)
        return tuple(str(name) for name in function()) if callable(function) else ()

    @property
    def has_digest(self) -> bool:
        """Whether the zoo has a method ``digest`` of its own."""
        return callable(getattr(self._wrapped, "digest", None))

    def digest(self, name: str) -> str:
        """Return the digest that the zoo itself gives; empty if it has none. Raises TypeError if it is not text."""
        found = self._call("digest", name)
        if found is not None and not isinstance(found, str):
            raise TypeError(f"digest('{name}') returned {type(found).__name__}, not text")
        return found or ""

    def _call(self, method: str, name: str) -> Any:
        function = getattr(self._wrapped, method, None)
        return function(name) if callable(function) else None


def load_zoo(spec: str) -> Zoo:
    """Return the zoo that ``--zoo`` names. Raises ZooError."""
    module_name, _, attribute = BUILT_IN.get(spec, spec).rpartition(":")
    if not module_name or not attribute:
        raise _unknown_zoo(spec)
    try:
        with nullcontext() if spec in BUILT_IN else _no_bytecode():
            is_file = module_name.endswith(".py")
            module = _import_file(Path(module_name)) if is_file else importlib.import_module(module_name)
        if attribute not in vars(module) and not hasattr(module, attribute):
            near = did_you_mean(attribute, (name for name in vars(module) if not name.startswith("_")))
            raise ZooError(f"zoo '{spec}': {module_name} has no '{attribute}'{near}")
        thing = getattr(module, attribute)
        if isinstance(thing, type) and hasattr(thing, "build"):
            thing = thing()
        is_zoo = hasattr(thing, "build") or callable(thing)
    except (ZooError, KeyboardInterrupt):
        raise
    except BaseException as trouble:  # importing a zoo runs foreign code, which may raise anything or exit
        raise ZooError(f"zoo '{spec}' cannot be imported: {error_text(trouble)}") from trouble
    if spec in BUILT_IN:
        assert isinstance(thing, Zoo)
        return thing
    if not is_zoo:
        raise ZooError(f"zoo '{spec}': '{attribute}' is neither a zoo nor a callable from name to network")
    return _ZooAdapter(spec, thing)


def local_zoo(spec: str | None) -> str | None:
    """Return ``file.py:object`` for ``file:object`` if no module of this name is installed and the file lies here."""
    module_name, _, attribute = (spec or "").rpartition(":")
    if spec in BUILT_IN or not module_name.isidentifier() or not Path(f"{module_name}.py").is_file():
        return spec
    is_module = module_name in sys.modules or importlib.util.find_spec(module_name) is not None
    return spec if is_module else f"{module_name}.py:{attribute}"


def _unknown_zoo(spec: str) -> ZooError:
    """Return the error of a zoo that is not found, with similar names."""
    module_name, separator, attribute = spec.rpartition(":")
    module_name = module_name if separator else spec
    file = Path(module_name if module_name.endswith(".py") else f"{module_name.replace('.', '/')}.py")
    if is_regular(file):
        names = [attribute] if separator and attribute else _objects_in(file)
        near = f"; did you mean {' or '.join(f'{file.as_posix()}:{name}' for name in names)}?" if names else ""
    else:
        near = did_you_mean(spec, BUILT_IN)
    others = f"a zoo is one of {', '.join(BUILT_IN)}, package.module:object or file.py:object"
    return ZooError(f"zoo '{spec}' is not known{near or f': {others}'}")


def _objects_in(file: Path) -> list[str]:
    """Return the functions and classes that a file defines, the first few; it is not run."""
    import ast

    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    found = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [name for name in found if not name.startswith("_")][:MOST_NEAR]


def source_digest(spec: str) -> str:
    """Return the digest of the Python files of a custom zoo. Raises ZooError if they are not found or readable."""
    try:
        return digest_of_files(source_files(spec))
    except OSError as trouble:
        raise ZooError(f"zoo '{spec}' cannot be read: {error_text(trouble)}") from trouble


def similar_names(zoo: Zoo, name: str) -> tuple[str, ...] | None:
    """Return the names of a zoo that are most like one that it does not have; None if it has it, or lists no names."""
    function = getattr(zoo, "models", None)
    names = [str(own) for own in function()] if callable(function) else []
    knows = getattr(zoo, "knows", None)
    architecture = name.partition(".")[0]
    if not names or architecture in names or name in names or (knows is not None and knows(name)):
        return None
    plain = _letters(architecture)
    if same := tuple(own for own in names if _letters(own) == plain):
        return same[:MOST_NEAR]
    if found := _TRAINING.match(architecture):
        architecture = found[1]
    return tuple(get_close_matches(architecture[:200], names, MOST_NEAR, 0.8))


_TRAINING = re.compile(r"([A-Za-z0-9-]{1,50})_(?:\d{1,4}xb\d|3rdparty)")
"""The network in a name that says how it was trained: ``resnet35_8xb32_in1k``."""


def is_same_name(name: str, other: str) -> bool:
    """Return whether two names differ in nothing but case and punctuation."""
    return _letters(name) == _letters(other)


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


MOST_SOURCE = 1_000_000
"""Bytes of a source file that is searched for names."""


def names_in_source(spec: str) -> set[str]:
    """Return the texts in the source of a custom zoo that may be names of models; it is not run."""
    import ast

    found: set[str] = set()
    for path in source_files(spec)[:20]:
        with suppress(OSError, ValueError, SyntaxError, RecursionError, MemoryError):
            tree = ast.parse(path.read_bytes()) if path.stat().st_size < MOST_SOURCE else ast.Module([], [])
            texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
            found |= {text for text in texts if isinstance(text, str) and _NAME.fullmatch(text)}
    return found


_NAME = re.compile(r"[A-Za-z][\w.+-]{1,99}")


def zoo_version(spec: str) -> str:
    """Return the version of a zoo's distribution; empty if it has none."""
    from importlib.metadata import version

    try:
        return version("cardproof" if spec == "res2next" else spec)
    except (ModuleNotFoundError, ValueError):
        return ""


def preprocessing_of(zoo: Zoo, name: str) -> Preprocessing | None:
    """Return a model's preprocessing, converted from the object or mapping that its zoo returns."""
    given = zoo.preprocessing(name)
    if given is None or isinstance(given, Preprocessing):
        return given
    size = _first_value(given, "input_size", "image_size", "img_size", "size")
    if size is None:
        return None
    crop, interpolation, mean, std = (_first_value(given, key) for key in ("crop_pct", "interpolation", "mean", "std"))
    return Preprocessing(
        _shape(size),
        float(crop) if crop is not None else None,
        str(interpolation) if interpolation is not None else None,
        tuple(float(v) for v in mean) if mean is not None else None,
        tuple(float(v) for v in std) if std is not None else None,
        weights=_first_value(given, "weights"),
    )


def _first_value(given: Any, *keys: str) -> Any:
    """Return the first value that an object or mapping has under one of these names, or None."""
    values = (given.get(key) if isinstance(given, Mapping) else getattr(given, key, None) for key in keys)
    return next((value for value in values if value is not None), None)


RECIPE_FIELDS = {
    "lr": "learning_rate",
    "epochs": "epochs",
    "momentum": "momentum",
    "batch size": "batch_size",
    "weight decay": "weight_decay",
    "label smoothing": "label_smoothing",
}
"""Field of cards -> attribute or key of a zoo's recipe."""


def recipe_of(spec: str, name: str) -> Recipe | None:
    """Return the training recipe of a model of a built-in zoo, without torch; None if unknown."""
    if spec not in BUILT_IN:
        return None
    zoo = load_zoo(spec)
    try:
        return recipe_of_zoo(zoo.recipe(name), getattr(zoo, "training_log", lambda _: None)(name))
    except LookupError:
        return None
    except ValueError as trouble:
        if type(trouble).__name__ == "UnknownModel":  # the zoo has no such model
            return None
        raise ZooError(f"the recipe of {name} cannot be read: {trouble}") from trouble


def curve_of(spec: str, name: str) -> Curve | None:
    """Return the course of the training of a built-in zoo's weights, without torch; None without a log."""
    read = getattr(load_zoo(spec), "training_curve", None) if spec in BUILT_IN else None
    try:
        return convert(found, Curve, from_attributes=True) if read and (found := read(name)) else None
    except (LookupError, ValueError):  # recipe_of reads the same log and reports the error
        return None


def recipe_of_zoo(given: Any, log: Any = None) -> Recipe | None:
    """Return a recipe, converted from the object or mapping that its zoo returns."""
    if given is None or isinstance(given, Recipe):
        return given

    def values(thing: Any) -> tuple[tuple[str, str], ...]:
        pairs = ((field, _first_value(thing, key)) for field, key in RECIPE_FIELDS.items())
        return tuple((field, str(value)) for field, value in pairs if value is not None)

    return Recipe(
        str(_first_value(given, "name") or ""),
        str(_first_value(given, "source") or ""),
        values(given),
        tuple(str(word) for word in _first_value(given, "techniques") or ()),
        values(log[1]) if log else None,
        tuple(str(word) for word in _first_value(log[1], "techniques") or ()) if log else (),
        str(log[0]) if log else "",
    )


def _shape(size: Any) -> tuple[int, int, int]:
    if isinstance(size, int):
        size = (3, size, size)
    values = tuple(int(v) for v in size)
    shape = values if len(values) == 3 else (3, *values[:1], *values[-1:])
    if len(shape) != 3 or not all(0 < value <= MOST_SIDE for value in shape):
        raise ValueError(f"the zoo's preprocessing has no image size of channels, height and width: {size}")
    return shape


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Write no bytecode of modules imported in the block.

    Python uses it if the source has the same size and modification second: after a quick edit, the old network would be
    measured.
    """
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _import_file(path: Path) -> Any:
    """Import a file from its source, never from cached bytecode."""
    if not path.is_file():
        raise ImportError(f"no file {path}{suggest_file(path)}")
    folder = str(path.parent.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(f"cardproof_zoo_{path.stem}", path)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    code = compile(path.read_bytes(), path, "exec", dont_inherit=True)
    exec(code, module.__dict__)  # nosec B102  # as an import does
    return module


def source_files(spec: str) -> tuple[Path, ...]:
    """Return the source files of a network: all of its top-level package, or all in the folder of a single file.

    What is named like a source file but is not one, such as an editor's lock or a folder, is left out. Raises ZooError.
    """
    module_name = spec.rpartition(":")[0]
    if module_name.endswith(".py"):
        return _regular(Path(module_name).parent.glob("*.py"))
    top = module_name.partition(".")[0]
    try:
        found = importlib.util.find_spec(top) if top else None
    except (ImportError, ValueError):  # a module without a specification, such as ``__main__``
        found = None
    if found is None:
        raise _unknown_zoo(spec)
    folders = [Path(folder) for folder in found.submodule_search_locations or ()]
    if folders:
        return _regular(path for folder in folders for path in folder.rglob("*.py"))
    return _regular([Path(found.origin)]) if found.origin else ()


def _regular(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(sorted(path for path in paths if path.is_file()))
