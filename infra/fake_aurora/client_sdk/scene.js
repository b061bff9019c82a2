// The chunk that draws: each step fails where the page's policy forbids what it needs.

const TOO_LONG = 10_000;
const at = (path) => new URL(path, import.meta.url);

export async function draw(mount) {
  const scene = document.createElement("div");
  scene.className = "stand-in-scene";
  const style = document.createElement("style");
  style.textContent = ".stand-in-scene iframe { width: 100%; height: 14rem; border: 0; }";
  scene.append(style);
  mount.append(scene);
  try {
    if (!style.sheet) throw refusal("styles");
    const [panels] = await Promise.all([inWorker(), pushed(), image()]);
    // The real one compiles its code at run time; this stands for it.
    const area = new Function("panels", "return panels.length * 1.7")(panels);
    await inFrame(scene, { panels, area });
  } catch (error) {
    scene.remove();
    throw error;
  }
  return scene;
}

/** Wait for an event, at most as long as a person would. */
function event(target, name, what) {
  return new Promise((resolve, reject) => {
    const fail = () => reject(refusal(what));
    target.addEventListener(name, resolve, { once: true });
    target.addEventListener("error", fail, { once: true });
    setTimeout(fail, TOO_LONG);
  });
}

function refusal(what) {
  return new Error(`The Client SDK did not load: the page does not allow its ${what}.`);
}

async function inWorker() {
  const code = `const panels = [];
    for (let row = 0; row < 3; row += 1) for (let column = 0; column < 5; column += 1) panels.push([column, row]);
    postMessage(panels);`;
  const blob = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const worker = new Worker(blob);
  try {
    return (await event(worker, "message", "worker")).data;
  } finally {
    worker.terminate();
    URL.revokeObjectURL(blob);
  }
}

async function pushed() {
  const address = at("/client-sdk/push");
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address);
  try {
    await event(socket, "message", "push service");
  } finally {
    socket.close();
  }
}

async function image() {
  const drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>';
  const blob = URL.createObjectURL(new Blob([drawing], { type: "image/svg+xml" }));
  const picture = new Image();
  picture.src = blob;
  await event(picture, "load", "images");
  for (const local of [blob, "data:,"]) {
    await fetch(local).catch(() => {
      throw refusal("own data");
    });
  }
  URL.revokeObjectURL(blob);
}

async function inFrame(scene, message) {
  const frame = document.createElement("iframe");
  frame.title = "Design (a stand-in)";
  frame.src = String(at("/client-sdk/frame.html"));
  const { port1: ours, port2: theirs } = new MessageChannel();
  // A frame that the page forbids loads too, as an empty page that never answers.
  const drawn = event(ours, "message", "frames");
  ours.start();
  frame.addEventListener("load", () => frame.contentWindow.postMessage(message, frame.src, [theirs]));
  scene.append(frame);
  await drawn;
}
