// A day of the doorbell: Wi-Fi and broker come and go, the button bounces. What
// the sketch does is told on standard output, with the time in ms.
#include "Arduino.h"
#include "PubSubClient.h"

#include SKETCH

EspClass ESP;
WiFiClass WiFi;

static unsigned long now = 1;
static bool contact, wifi, brokerUp, connectedNow, led;
static std::function<void(char *, uint8_t *, unsigned int)> hears;

unsigned long millis() { return now; }
void pinMode(int, int) {}
int digitalRead(int) { return contact ? LOW : HIGH; }
void digitalWrite(int, int level) { led = level == HIGH; }
int WiFiClass::status() { return wifi ? WL_CONNECTED : WL_DISCONNECTED; }

PubSubClient &PubSubClient::setServer(const char *, uint16_t) { return *this; }
PubSubClient &PubSubClient::setCallback(std::function<void(char *, uint8_t *, unsigned int)> f) { hears = f; return *this; }
PubSubClient &PubSubClient::setKeepAlive(uint16_t s) { printf("keepalive %u\n", s); return *this; }
PubSubClient &PubSubClient::setSocketTimeout(uint16_t) { return *this; }
boolean PubSubClient::setBufferSize(uint16_t) { return true; }
boolean PubSubClient::connected() { return connectedNow; }
boolean PubSubClient::loop() { return connectedNow; }

boolean PubSubClient::connect(const char *id, const char *, const char *, const char *willTopic, uint8_t willQos,
                              boolean willRetain, const char *willMessage, boolean cleanSession) {
  printf("connect id=%s will=%s %s qos=%u retain=%d clean=%d: %s\n", id, willTopic, willMessage, willQos, willRetain,
         cleanSession, brokerUp ? "ok" : "no");
  return connectedNow = brokerUp;
}

boolean PubSubClient::publish(const char *topic, const char *payload, boolean retained) {
  printf("publish %s \"%s\" retain=%d\n", topic, payload, retained);
  return connectedNow;
}

boolean PubSubClient::subscribe(const char *topic, uint8_t qos) {
  printf("subscribe %s qos=%u\n", topic, qos);
  return connectedNow;
}

// run lets time pass and tells how much of it the LED was on.
static void run(unsigned long ms) {
  unsigned long lit = 0;
  for (unsigned long end = now + ms; now < end; now++) {
    if (connectedNow && !brokerUp) connectedNow = false;
    loop();
    lit += led;
  }
  printf("-- %lu ms, lit for %lu%%\n", ms, lit * 100 / ms);
}

static void bounce(int times) {
  for (int i = 0; i < times; i++) {
    contact = !contact;
    for (int ms = 0; ms < 5; ms++, now++) loop();
  }
}

static void press() {
  contact = true;
  bounce(20);
  run(300);
  bounce(20);
  contact = false;
  run(600);
}

static void tell(const char *topic, const char *payload) {
  char t[128];
  snprintf(t, sizeof t, "%s", topic);
  hears(t, (uint8_t *)payload, strlen(payload));
}

static void step(const char *what) { printf("# %s\n", what); }

int main() {
  setup();
  step("no wifi");
  run(2000);
  step("wifi, no broker");
  wifi = true;
  run(12000);
  step("a press that nobody hears");
  press();
  step("the broker comes");
  brokerUp = true;
  run(6000);
  step("the hub is there");
  tell("hkw/home/status/availability", "online");
  tell("hkw/home/status/player_state", "PlayerStateStopped");
  run(2000);
  step("two presses, bouncing");
  press();
  press();
  step("it plays");
  tell("hkw/home/status/player_state", "PlayerStatePlaying");
  run(2000);
  tell("hkw/home/status/player_state", "");
  run(2000);
  step("the hub goes");
  tell("hkw/home/status/availability", "offline");
  run(2000);
  step("the broker goes, and comes back");
  brokerUp = false;
  run(1000);
  brokerUp = true;
  run(6000);
}
