// Aurora's loader in the adapters' apps: it counts the sessions that are opened and left.
let opened = 0;
Object.assign(globalThis, { opened, left: [], loadedWith: [], handlers: {} });
export async function load({ token }) {
  const number = ++globalThis.opened;
  loadedWith.push(token);
  await new Promise((resolve) => setTimeout(resolve, 30));
  const on = (name, handler) => { handlers[name] = handler; };
  return { number, close: () => left.push(number), event: { on, off() {} } };
}
