// The rule inside the broker's own process: aedes, subscribed in-process. usage: aedes.cjs FOLDER; prints its port
const { createRequire } = require("node:module");
const net = require("node:net");
const path = require("node:path");
const { Aedes } = createRequire(path.join(process.argv[2], "package.json"))("aedes");

async function main() {
  const broker = await Aedes.createBroker({ concurrency: 0 });
  broker.subscribe("bench/+/reading", (packet, done) => {
    if (JSON.parse(packet.payload).celsius > 30) {
      const topic = packet.topic.slice(0, -7) + "command";
      broker.publish({ topic, payload: '{"mode":"max"}', qos: packet.qos, retain: false }, done);
    } else {
      done();
    }
  });
  const server = net.createServer({ noDelay: true }, broker.handle);
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
}

main();
