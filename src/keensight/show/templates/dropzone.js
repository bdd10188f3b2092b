// A field for dropped or chosen files; sends them to Python as {name, data}.
const LOOK =
  "display:block;max-width:30em;padding:1.6em;text-align:center;border:2px dashed rgba(128,128,128,.6);" +
  "border-radius:6px;cursor:pointer;color:inherit";

function render({ model, el }) {
  const zone = document.createElement("label");
  zone.className = "keensight-drop";
  zone.style = LOOK;
  const input = document.createElement("input");
  Object.assign(input, { type: "file", multiple: true, accept: "image/*" });
  input.style = "position:absolute;width:1px;height:1px;opacity:0"; // not hidden: the keyboard has to reach it
  zone.append("Drop images here, or click to choose", input);
  el.append(zone);

  async function send(list) {
    const read = async (file) => ({ name: file.name, data: new DataView(await file.arrayBuffer()) });
    const files = await Promise.all([...list].map(read));
    if (!files.length) return;
    model.set("files", files);
    model.save_changes();
    input.value = "";
  }

  const mark = (on) => (zone.style.background = on ? "rgba(128,128,128,.2)" : "");
  input.addEventListener("change", () => send(input.files));
  input.addEventListener("focus", () => mark(true));
  input.addEventListener("blur", () => mark(false));
  zone.addEventListener("dragleave", () => mark(false));
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation(); // the notebook would open the file
    mark(false);
    send(event.dataTransfer.files);
  });
}

export default { render };
