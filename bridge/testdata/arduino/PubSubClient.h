// The part of PubSubClient 2.8's interface that sketches use, its signatures as
// they are there; it tells on standard output what it is asked for.
#pragma once
#include "Arduino.h"
#include "WiFi.h"
#include <functional>

#define MQTT_CALLBACK_SIGNATURE std::function<void(char *, uint8_t *, unsigned int)> callback

class PubSubClient {
 public:
  PubSubClient(Client &) {}
  PubSubClient &setServer(const char *domain, uint16_t port);
  PubSubClient &setCallback(MQTT_CALLBACK_SIGNATURE);
  PubSubClient &setKeepAlive(uint16_t keepAlive);
  PubSubClient &setSocketTimeout(uint16_t timeout);
  boolean setBufferSize(uint16_t size);
  boolean connect(const char *id, const char *user, const char *pass, const char *willTopic, uint8_t willQos,
                  boolean willRetain, const char *willMessage, boolean cleanSession);
  boolean publish(const char *topic, const char *payload) { return publish(topic, payload, false); }
  boolean publish(const char *topic, const char *payload, boolean retained);
  boolean subscribe(const char *topic) { return subscribe(topic, 0); }
  boolean subscribe(const char *topic, uint8_t qos);
  boolean loop();
  boolean connected();
};
