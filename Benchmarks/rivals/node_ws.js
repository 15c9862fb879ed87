// A rival: ws on Node.js. Usage: node node_ws.js PORT
//
// / sends back what it gets; /broadcast sends it to everyone there. Compression is off.
"use strict";

const WebSocket = require("ws");

const server = new WebSocket.Server({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  backlog: 4096,
  perMessageDeflate: false,
});
const members = new Set();

server.on("connection", (socket, request) => {
  socket.on("error", () => {}); // a client that went away; `close` follows
  if (request.url !== "/broadcast") {
    socket.on("message", (data, binary) => socket.send(data, { binary }));
    return;
  }
  members.add(socket);
  socket.on("close", () => members.delete(socket));
  socket.on("message", (data, binary) => {
    for (const member of members) {
      if (member.readyState === WebSocket.OPEN) member.send(data, { binary });
    }
  });
});
