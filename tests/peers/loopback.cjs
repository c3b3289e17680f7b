// Preloaded into real servers: a listener that names no address gets 127.0.0.1 instead of all of them.
// _listen2 is where the address arrives resolved, so server.address() still answers at once.
const net = require("node:net");
const listen = net.Server.prototype._listen2;
net.Server.prototype._listen2 = function (address, port, addressType, backlog, fd, flags) {
  const open = (address === null || address === undefined) && typeof port === "number" && port >= 0 && fd === undefined;
  return open
    ? listen.call(this, "127.0.0.1", port, 4, backlog, fd, flags)
    : listen.call(this, address, port, addressType, backlog, fd, flags);
};
