// Accepts WebSockets and does nothing else: what the memory of a waiting shopper is held against.
// node --expose-gc server.mjs HOST PORT

import { WebSocketServer } from "ws";

const [host, port] = process.argv.slice(2);
new WebSocketServer({ host, port: Number(port), perMessageDeflate: false });

// Its best: counted without the garbage that the handshakes have left.
setInterval(globalThis.gc, 2000);
