// Node-RED's MQTT client leaves Nagle's algorithm on, which costs it up to 44 ms an action at QoS 1.
const net = require("node:net");
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...parameters) {
  this.setNoDelay(true);
  return connect.apply(this, parameters);
};
