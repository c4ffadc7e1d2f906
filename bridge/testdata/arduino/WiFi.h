#pragma once
#include "Arduino.h"

enum { WIFI_STA = 1, WL_CONNECTED = 3, WL_DISCONNECTED = 6 };

struct WiFiClass {
  void mode(int) {}
  void setAutoReconnect(bool) {}
  void begin(const char *, const char *) {}
  int status();
};
extern WiFiClass WiFi;

class Client {};
class WiFiClient : public Client {};
