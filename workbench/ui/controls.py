"""Controls made from what is known already: a technique's fields, a model's tensors, the catalog.

Every control shows what it is for in a line below it, so that it can be read without a mouse.
"""

import html
import math
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

import ipywidgets
import traitlets
from pydantic.fields import FieldInfo

from workbench.errors import WorkbenchError
from workbench.models import Entry, catalog, fetch, open_model
from workbench.techniques.base import Technique, technique, techniques
from workbench.ui.progress import Job, Problem, shows_problems

STYLE = {"description_width": "auto"}
FULL = {"width": "auto"}
# a range whose end is this many times its start gets a slider of powers
WIDE = {int: 32, float: 1000}
OPEN_END = 4096  # how far such a slider goes where nothing bounds it
STEPS = 100
NONE_MEANS = re.compile(r"[;,]? *\bNone: (?P<meaning>[^;.]+)")
OTHER_FILE = "another file ..."


class Control(ipywidgets.VBox):
    """One parameter: an input with its name, and a line that says what it is.

    Attributes
    ----------
    value : any
        The parameter's value; set it and the input follows.
    """

    value = traitlets.Any()

    def __init__(self, name: str, field: FieldInfo):
        kind, optional = _without_none(field.annotation)
        default = field.get_default(call_default_factory=True)
        self.input = make_input(name, kind, field, default)
        self.none = None
        children = [self.input]
        if optional:
            self.none = ipywidgets.Checkbox(
                value=default is None,
                description=_meaning_of_none(field),
                indent=False,
                layout=FULL,
            )
            self.none.observe(self._pull, "value")
            children.append(self.none)
        children.append(help_line(NONE_MEANS.sub("", field.description or "")))
        super().__init__(children, value=default)
        self.add_class("wb-field")
        self.input.observe(self._pull, "value")
        self._pull()

    def _pull(self, _change=None) -> None:
        absent = self.none is not None and self.none.value
        self.input.disabled = absent
        self.value = None if absent else self.input.value

    @traitlets.observe("value")
    def _push(self, change) -> None:
        if self.none is not None:
            self.none.value = change.new is None
        if change.new is None or self.input.value == change.new:
            return
        if isinstance(self.input, ipywidgets.SelectionSlider):
            self.input.options = sorted({*self.input.options, change.new})
        self.input.value = change.new


def make_input(name: str, kind: Any, field: FieldInfo, default: Any) -> ipywidgets.Widget:
    """The input widget for one field of a technique.

    Parameters
    ----------
    name : str
    kind : type or Literal
        Its annotation, without None.
    field : FieldInfo
        For its bounds.
    default : value that the input starts with, or None

    Raises
    ------
    TypeError
        There is no input for values of this type.
    """
    common = {"description": name.replace("_", " "), "style": STYLE, "layout": FULL}
    if get_origin(kind) is Literal:
        options = get_args(kind)
        return ipywidgets.Dropdown(options=options, value=default or options[0], **common)
    if kind is bool:
        return ipywidgets.Checkbox(value=bool(default), indent=False, **common)
    if kind in (int, float):
        return _number_input(kind, *bounds(field, kind), default, common)
    if kind is str:
        return ipywidgets.Text(value=default or "", continuous_update=False, **common)
    raise TypeError(
        f"field {name!r} is of type {kind}; a control can be made for Literal, bool, int, float, "
        "str and any of them or None"
    )


def _number_input(kind, low, high, default, common):
    common = {**common, "continuous_update": False}
    if low is not None and low > 0 and (high is None or high >= WIDE[kind] * low):
        if kind is int:
            options = _powers_of_two(low, high or max(OPEN_END, 2 * (default or 0)))
            if default is not None:
                options = sorted({*options, default})
            start = default if default is not None else options[len(options) // 2]
            return ipywidgets.SelectionSlider(options=options, value=start, **common)
        if high is not None:
            return ipywidgets.FloatLogSlider(
                min=math.log10(low), max=math.log10(high), value=default or low, **common
            )
    if low is None or high is None:
        box = ipywidgets.IntText if kind is int else ipywidgets.FloatText
        return box(value=default if default is not None else low or 0, **common)
    start = default if default is not None else low
    if kind is int:
        return ipywidgets.IntSlider(min=low, max=high, value=start, **common)
    return ipywidgets.FloatSlider(
        min=low, max=high, step=(high - low) / STEPS, value=start, readout_format=".3g", **common
    )


def bounds(field: FieldInfo, kind: type) -> tuple[Any, Any]:
    """Lowest and highest allowed value, None where there is none.

    An exclusive bound is moved inwards, by one or by a hundredth of the range.
    """
    found = {}
    for item in field.metadata:
        for key in ("ge", "gt", "le", "lt"):
            if getattr(item, key, None) is not None:
                found[key] = getattr(item, key)
    low = found.get("ge", found.get("gt"))
    high = found.get("le", found.get("lt"))
    if kind is int:
        inwards = 1
    elif low is not None and high is not None:
        inwards = (high - low) / STEPS
    else:
        inwards = 0  # an open box shows the refusal itself
    if "ge" not in found and low is not None:
        low += inwards
    if "le" not in found and high is not None:
        high -= inwards
    return low, high


def _powers_of_two(low: int, high: int) -> list[int]:
    first, last = math.ceil(math.log2(low)), math.floor(math.log2(high))
    return sorted({low, *(2**power for power in range(first, last + 1))})


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not types.NoneType]
        if len(kinds) == 1 and len(kinds) < len(get_args(annotation)):
            return kinds[0], True
    return annotation, False


def _meaning_of_none(field: FieldInfo) -> str:
    """What a field's description says after ``None:``."""
    said = NONE_MEANS.search(field.description or "")
    return said["meaning"] if said else "none"


def dropdown(name: str, options: Iterable, value: Any = None) -> ipywidgets.Dropdown:
    """One of several options, by default the first."""
    options = list(options)
    return ipywidgets.Dropdown(
        options=options, value=options[0] if value is None else value, description=name,
        style=STYLE, layout=FULL,
    )  # fmt: skip


def slider(name: str, low: int, high: int, value: int) -> ipywidgets.IntSlider:
    """A whole number from low to high; who moves it is heard when it is let go."""
    return ipywidgets.IntSlider(
        min=low, max=high, value=value, description=name, continuous_update=False, style=STYLE,
        layout=FULL,
    )  # fmt: skip


def help_line(text: str) -> ipywidgets.HTML:
    """The line below a control that says what it is."""
    line = ipywidgets.HTML(html.escape(text))
    line.add_class("wb-help")
    return line


def field(widget: ipywidgets.Widget, text: str) -> ipywidgets.VBox:
    """An input with the line below it that says what it is."""
    both = ipywidgets.VBox([widget, help_line(text)])
    both.add_class("wb-field")
    return both


class TechniqueControls(ipywidgets.VBox):
    """Controls for every parameter of one technique.

    Parameters
    ----------
    start : Technique
        Where the controls start.

    Attributes
    ----------
    technique : Technique
        The last valid one; what is not allowed is explained in place and changes nothing.
    controls : dict of Control by parameter
    """

    technique = traitlets.Instance(Technique)

    def __init__(self, start: Technique):
        fields = type(start).model_fields
        self.controls = {name: Control(name, field) for name, field in fields.items()}
        for name, control in self.controls.items():
            control.value = getattr(start, name)
        self.problem = Problem()
        super().__init__([*self.controls.values(), self.problem], technique=start)
        self.add_class("wb-fields")
        for control in self.controls.values():
            control.observe(self._changed, "value")

    @shows_problems
    def _changed(self, _change):
        values = {name: control.value for name, control in self.controls.items()}
        self.technique = technique(self.technique.id, **values)


class TechniquePicker(ipywidgets.VBox):
    """A choice of technique, with controls for the parameters of the chosen one.

    Parameters
    ----------
    start : str or Technique
    choices : ids, optional
        All techniques where left out; with only one there is nothing to choose.

    Attributes
    ----------
    technique : Technique
        Settable: its controls follow.
    """

    technique = traitlets.Instance(Technique)

    def __init__(self, start: str | Technique, choices: Sequence[str] | None = None):
        start = start if isinstance(start, Technique) else technique(start)
        choices = sorted({*(choices if choices is not None else techniques()), start.id})
        self.name = ipywidgets.Dropdown(
            options=choices, value=start.id, description="technique", style=STYLE, layout=FULL
        )
        self.about = help_line("")
        self.holder = ipywidgets.VBox()
        self.problem = Problem()
        chooser = ipywidgets.VBox([self.name, self.about])
        chooser.add_class("wb-field")
        super().__init__([chooser, self.holder, self.problem], technique=start)
        if len(choices) == 1:
            self.name.layout.display = "none"
        self.name.observe(self._follow_name, "value")
        self._show(start)

    @property
    def controls(self) -> dict[str, Control]:
        """The controls of the chosen technique by parameter."""
        return self.holder.children[0].controls

    @shows_problems
    def _follow_name(self, change):
        if change.new != self.technique.id:
            self.technique = technique(change.new)

    @traitlets.observe("technique")
    def _follow_technique(self, change):
        shown = self.holder.children[0].technique if self.holder.children else None
        if change.new != shown:
            self._show(change.new)

    def _show(self, chosen: Technique) -> None:
        self.about.value = html.escape((type(chosen).__doc__ or "").strip().split("\n")[0])
        controls = TechniqueControls(chosen)
        controls.observe(self._follow_controls, "technique")
        if chosen.id not in self.name.options:
            self.name.options = sorted([*self.name.options, chosen.id])
        self.holder.children = [controls]
        self.name.value = chosen.id

    def _follow_controls(self, change):
        self.technique = change.new


class ModelPicker(ipywidgets.VBox):
    """A choice of model: of the catalog, or any GGUF or safetensors file by path.

    Parameters
    ----------
    start : str or mapping
        Name, path, or an open model.
    offers : callable (Entry) -> bool, optional
        Which of the catalog can be chosen; all where left out.
    text : str
        What the choice is for.

    Attributes
    ----------
    weights : mapping of names to tensors
        The open model; stays what it was while the choice cannot be opened.
    """

    weights = traitlets.Instance(Mapping)

    def __init__(
        self,
        start: str | Mapping = "smollm2-slice",
        offers: Callable[[Entry], bool] = lambda entry: True,
        text: str = "Whose weights to measure; any .gguf or .safetensors file on the machine where "
        "this runs will do.",
    ):
        named = isinstance(start, str)
        weights = open_model(start) if named else start
        self._offers = offers
        self.name = ipywidgets.Dropdown(
            options=self._options(), description="model", style=STYLE, layout=FULL
        )
        self.path = ipywidgets.Text(
            description="path",
            placeholder="/path/to/model.gguf",
            continuous_update=False,
            style=STYLE,
            layout=FULL,
        )
        self.fetch = ipywidgets.Button(description="Fetch this model", icon="download")
        self.job = Job()
        self.problem = Problem()
        super().__init__(
            [
                self.name,
                self.path,
                help_line(text),
                self.fetch,
                self.job,
                self.problem,
            ],
            weights=weights,
        )
        self.add_class("wb-field")
        self.name.value = start if named and start in catalog() else OTHER_FILE
        self.path.value = start if named and start not in catalog() else ""
        self._arrange()
        self.name.observe(self._changed, "value")
        self.path.observe(self._changed, "value")
        self.fetch.on_click(lambda _: self.job.start(self._fetch, "fetching"))

    @property
    def choice(self) -> str:
        """The name or path that is chosen; empty where none is yet."""
        return self.path.value.strip() if self.name.value == OTHER_FILE else self.name.value

    @shows_problems
    def _changed(self, _change):
        self._arrange()
        if self.choice:
            self.weights = open_model(self.choice)

    def _options(self) -> list[tuple[str, str]]:
        options = []
        for entry in filter(self._offers, catalog().values()):
            state = "" if entry.present else f" ({entry.nbytes / 1e6:.0f} MB, not fetched yet)"
            options.append((entry.name + state, entry.name))
        return [*options, (OTHER_FILE, OTHER_FILE)]

    def _arrange(self) -> None:
        entry = catalog().get(self.name.value)
        self.path.layout.display = "none" if entry else ""
        missing = entry is not None and not entry.present
        self.fetch.layout.display = "" if missing else "none"

    def _fetch(self, run) -> None:
        name = self.name.value
        fetch(name, lambda stage, done, total: run.progress(done, total, stage))
        self.problem.clear()
        self.name.options = self._options()
        self.name.value = name
        self._arrange()
        self.weights = open_model(name)


class TensorPicker(ipywidgets.VBox):
    """A choice of one or several matrices of a model, each with its shape and type.

    Parameters
    ----------
    weights : mapping of names to tensors
    start : name, optional
    several : bool
        Whether more than one may be chosen.

    Attributes
    ----------
    weights : mapping
        Settable: the list follows, and keeps what is chosen where the new model has it too.
    tensors : tuple of str
        What is chosen.
    """

    weights = traitlets.Instance(Mapping)
    tensors = traitlets.Tuple()

    def __init__(self, weights: Mapping, start: Sequence[str] = (), several: bool = False):
        if several:
            self.list = ipywidgets.SelectMultiple(
                description="tensors", rows=7, style=STYLE, layout=FULL
            )
            line = "Matrices to measure; hold Ctrl or Shift to choose several."
        else:
            self.list = ipywidgets.Dropdown(description="tensor", style=STYLE, layout=FULL)
            line = "Which matrix of the model: its name, rows × columns, type in the file."
        self._several = several
        super().__init__([self.list, help_line(line)], weights=weights)
        self.add_class("wb-field")
        self.list.observe(self._chosen, "value")
        self.check(*start)
        self._fill(start)

    @traitlets.observe("weights")
    def _follow_weights(self, change):
        if change.old is not traitlets.Undefined and hasattr(self, "list"):
            self._fill(self.tensors)

    @traitlets.observe("tensors")
    def _follow_tensors(self, change):
        wanted = tuple(change.new)
        self.check(*wanted)
        self.list.value = wanted if self._several else wanted[0]

    @property
    def matrices(self) -> list[str]:
        """Names of the tensors with two axes."""
        return [name for name, tensor in self.weights.items() if len(tensor.shape) == 2]

    def check(self, *names: str) -> None:
        """Refuse a name that is no matrix of this model."""
        known = self.matrices
        for name in names:
            if name not in known:
                raise WorkbenchError(
                    f"no matrix is called {name!r}; there are {', '.join(known) or 'none'}"
                )

    def _fill(self, wanted: Sequence[str]) -> None:
        names = self.matrices
        if not names:
            raise WorkbenchError("this model holds no matrix, so there is nothing to choose")
        kept = [name for name in wanted if name in names] or names[:1]
        with self.hold_trait_notifications():
            self.list.options = [(_tensor_label(name, self.weights[name]), name) for name in names]
            self.list.value = tuple(kept) if self._several else kept[0]
        self._chosen()

    def _chosen(self, _change=None) -> None:
        value = self.list.value
        if value:
            self.tensors = tuple(value) if self._several else (value,)


def _tensor_label(name: str, tensor) -> str:
    rows, cols = tensor.shape
    kind = getattr(tensor, "quant", None) or str(tensor.dtype)
    return f"{name}  {rows} × {cols}  {kind}"
