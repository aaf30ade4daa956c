// Plotly is 5 MB. It comes once, in the state of one `Library` for all figures of a page, and is
// parsed once. It is awaited when a figure is shown and not before: anywidget gives a widget's own
// module two seconds, and drops the messages of one that needs longer.
const PREFIX = "IPY_MODEL_";

async function imported(manager, reference) {
  const library = await manager.get_model(reference.slice(PREFIX.length));
  const blob = new Blob([library.get("source")], { type: "text/javascript" });
  const address = URL.createObjectURL(blob);
  try {
    return (await import(address)).default;
  } finally {
    URL.revokeObjectURL(address);
  }
}

export default () => {
  let figure; // one for all views of this widget
  async function show({ model, el }) {
    const shared = (globalThis.workbenchPlotly ??= new Map());
    const version = model.get("_library_version");
    if (!shared.has(version)) {
      shared.set(version, imported(model.widget_manager, model.get("_library")));
    }
    const plotly = await shared.get(version);
    if (!figure) {
      figure = plotly();
      figure.initialize({ model });
    }
    return figure.render({ model, el });
  }
  return {
    render(context) {
      const shown = show(context);
      return () => shown.then((remove) => remove());
    },
  };
};
