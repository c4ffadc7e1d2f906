// A doorbell for an ESP32: a button that rings, and an LED that shows how the hub
// is. For the Arduino core for ESP32 2.x or 3.x and PubSubClient 2.8.
//
// The button needs no debouncing for the hub's sake, which takes a contact that
// bounces for one press; it is debounced here to spare the air.

#include <WiFi.h>
#include <PubSubClient.h>
#include <string.h>

// --- Yours to set -----------------------------------------------------------

const char *ssid = "my network";
const char *passphrase = "my passphrase";

const char *broker = "192.168.1.10";  // where hkw or your Mosquitto runs
const uint16_t brokerPort = 1883;
const char *user = nullptr;  // nullptr: the broker asks for nobody's name
const char *password = nullptr;

const int buttonPin = 4;  // between this pin and GND
const int ledPin = 2;     // the LED on most boards

// What it says and hears; home is the id of the hub. Any preset, chime or media
// may stand in the place of doorbell.
const char *ring = "hkw/home/play/doorbell";
const char *hubAvailability = "hkw/home/status/availability";
const char *hubPlayerState = "hkw/home/status/player_state";

// Whether the button itself is there; the broker says "offline" for it.
const char *door = "doorbell/door/availability";

// ----------------------------------------------------------------------------

const unsigned long debounceTime = 50;  // ms of open contact that end a press
const unsigned long retryTime = 5000;   // ms between attempts to reach the broker

WiFiClient net;
PubSubClient mqtt(net);
bool hubOnline = false;
bool playing = false;

bool is(const byte *payload, unsigned int length, const char *text) {
  return length == strlen(text) && memcmp(payload, text, length) == 0;
}

// hear takes what the hub keeps retained: it comes at once when we subscribe, and
// again whenever it changes.
void hear(char *topic, byte *payload, unsigned int length) {
  if (strcmp(topic, hubAvailability) == 0) {
    hubOnline = is(payload, length, "online");
  } else if (strcmp(topic, hubPlayerState) == 0) {
    playing = is(payload, length, "PlayerStatePlaying");
  }
}

void setup() {
  pinMode(buttonPin, INPUT_PULLUP);
  pinMode(ledPin, OUTPUT);
  WiFi.mode(WIFI_STA);
  WiFi.setAutoReconnect(true);
  WiFi.begin(ssid, passphrase);
  mqtt.setServer(broker, brokerPort);
  mqtt.setCallback(hear);
  mqtt.setKeepAlive(15);     // s
  mqtt.setSocketTimeout(2);  // s; the default of 15 would leave the button deaf for as long
}

// connect keeps us on the broker. It tries now and then and never waits, so that
// the LED goes on blinking.
void connect() {
  static unsigned long tried = 0;
  if (mqtt.connected()) return;
  hubOnline = playing = false;
  if (WiFi.status() != WL_CONNECTED) return;
  if (tried != 0 && millis() - tried < retryTime) return;
  tried = millis();

  char id[32];  // a client id must be nobody else's
  snprintf(id, sizeof id, "doorbell-%06x", (unsigned int)(ESP.getEfuseMac() >> 24) & 0xffffff);
  const bool retain = true, cleanSession = true;
  if (!mqtt.connect(id, user, password, door, 0, retain, "offline", cleanSession)) return;
  mqtt.publish(door, "online", retain);
  mqtt.subscribe(hubAvailability);
  mqtt.subscribe(hubPlayerState);
}

// pressed is true once for each press, at its first contact: whoever stands at the
// door is not made to wait. A press has ended when the contact was open for a while.
bool pressed() {
  static bool armed = true;
  static unsigned long closed = 0;
  if (digitalRead(buttonPin) == LOW) {
    closed = millis();
    bool first = armed;
    armed = false;
    return first;
  }
  if (millis() - closed >= debounceTime) armed = true;
  return false;
}

// show lets the LED blink fast without a broker, flash every two seconds without a
// hub, and shine while something plays.
void show() {
  unsigned long now = millis();
  bool lit = playing;
  if (!mqtt.connected()) {
    lit = now % 200 < 100;
  } else if (!hubOnline) {
    lit = now % 2000 < 50;
  }
  digitalWrite(ledPin, lit ? HIGH : LOW);
}

void loop() {
  connect();
  mqtt.loop();
  // A press while there is no broker is lost, as it should be: nobody wants the
  // bell to ring when the visitor has gone. Never retain it, for the same reason.
  if (pressed() && mqtt.connected()) mqtt.publish(ring, "");
  show();
}
