// Files that any server can serve; Next.js makes them by rendering each page on the server.
export default { output: "export" };
