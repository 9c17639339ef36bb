// Accepts WebSockets and does nothing else: the baseline for the memory of a waiting shopper. node
// --expose-gc server.mjs HOST PORT

import { WebSocketServer } from "ws";

const [host, port] = process.argv.slice(2);
new WebSocketServer({ host, port: Number(port), perMessageDeflate: false });

// Its best: counted without the garbage that the handshakes have left.
setInterval(globalThis.gc, 2000);
