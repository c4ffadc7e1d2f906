// Runs a Shelly script in a Shelly that the test makes, and tells on standard output
// what it does.
const fs = require("fs"), vm = require("vm");
const handlers = [], subscriptions = {};
let connected = false;
const tell = (...words) => console.log(words.join(" "));
const world = {
  print: (...words) => tell("print", ...words),
  MQTT: {
    isConnected: () => connected,
    publish: (topic, message, qos, retain) => tell("publish", topic, JSON.stringify(message), "qos=" + qos, "retain=" + retain),
    subscribe: (topic, callback) => { tell("subscribe", topic); subscriptions[topic] = callback; },
  },
  Shelly: {
    addEventHandler: (callback) => handlers.push(callback),
    call: (method, params) => tell("call", method, JSON.stringify(params)),
  },
};
vm.runInNewContext(fs.readFileSync(process.argv[2], "utf8"), world);
const event = (component, name) => handlers.forEach((h) => h({ component, name: component.split(":")[0], id: 0, info: { component, id: 0, event: name } }));
event("input:0", "single_push");
connected = true;
for (const name of ["btn_down", "single_push", "btn_up", "double_push", "long_push"]) event("input:0", name);
event("input:1", "single_push");
for (const topic in subscriptions) for (const message of ["PlayerStatePlaying", "PlayerStateStopped"]) subscriptions[topic](topic, message);
