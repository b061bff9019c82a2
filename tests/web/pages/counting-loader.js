// Aurora's loader in the adapters' apps: it counts the sessions that are opened and left.
let opened = 0;
Object.assign(globalThis, { opened, left: [], loadedWith: [], handlers: {}, log: [] });
export async function load({ token }) {
  const number = ++globalThis.opened;
  loadedWith.push(token);
  log.push("open ");
  await new Promise((resolve) => setTimeout(resolve, 30));
  const on = (name, handler) => { handlers[name] = handler; };
  return { number, close: () => { left.push(number); log.push("close "); }, event: { on, off() {} } };
}
