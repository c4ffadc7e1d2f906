// Package broker is the embedded MQTT broker: mochi, hardened for a house.
package broker
