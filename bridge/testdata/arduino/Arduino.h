// What the sketches of examples/ need of an Arduino, in a world that the test makes.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint8_t byte;
typedef bool boolean;
enum { LOW, HIGH };
enum { OUTPUT, INPUT_PULLUP };

unsigned long millis();
void pinMode(int pin, int mode);
int digitalRead(int pin);
void digitalWrite(int pin, int level);

struct EspClass {
  uint64_t getEfuseMac() { return 0xaabbcc010203; }
};
extern EspClass ESP;
