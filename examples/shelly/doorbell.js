// A button with a Shelly of generation 2 or later (Plus, Pro, Gen3, Gen4; firmware
// 1.0 or later): a press rings, a long press is silence, and output 0, if there is
// one, is on while something plays: a lamp for those who hear badly.
//
// In the device's page: switch MQTT on and name the broker; set the input to
// "Button"; paste this under Scripts, start it, and let it run on startup.

let CONFIG = {
  input: "input:0",
  ring: "hkw/home/play/doorbell", // any preset, chime or media
  stop: "hkw/home/stop",
  state: "hkw/home/status/player_state",
  lamp: 0, // the output; null for none
};

function say(topic) {
  if (!MQTT.isConnected()) {
    print("no broker: the press is lost, and does not ring later");
    return;
  }
  MQTT.publish(topic, "", 0, false); // never retained: it would ring again
}

Shelly.addEventHandler(function (event) {
  if (event.component !== CONFIG.input) return;
  if (event.info.event === "single_push") say(CONFIG.ring);
  if (event.info.event === "long_push") say(CONFIG.stop);
});

if (CONFIG.lamp !== null) {
  MQTT.subscribe(CONFIG.state, function (topic, message) {
    Shelly.call("Switch.Set", { id: CONFIG.lamp, on: message === "PlayerStatePlaying" });
  });
}
