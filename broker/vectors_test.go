package broker

import "strings"

// vector is a stream of bytes that ends its connection and nothing else.
type vector struct {
	name    string
	version byte // of the CONNECT before it; 0 for none
	bytes   []byte
}

var deepTopic = strings.Repeat("/", 65000)

// malformed ends a connection, each in its own way.
var malformed = []vector{
	{"v5 SUBSCRIBE without options byte", 5, []byte{0x82, 6, 0, 1, 0, 0, 1, 'a'}},
	{"v5 SUBSCRIBE, the second filter without options byte", 5, []byte{0x82, 10, 0, 1, 0, 0, 1, 'a', 0, 0, 1, 'b'}},
	{"v5 SUBSCRIBE, an empty filter without options byte", 5, []byte{0x82, 5, 0, 1, 0, 0, 0}},
	{"v5 SUBSCRIBE, property length beyond the packet", 5, []byte{0x82, 3, 0, 1, 0x7f}},
	{"v5 SUBSCRIBE, empty", 5, []byte{0x82, 0}},
	{"v5 SUBSCRIBE, no properties", 5, []byte{0x82, 2, 0, 1}},
	{"v3 SUBSCRIBE without QoS byte", 4, []byte{0x82, 5, 0, 1, 0, 1, 'a'}},
	{"v3 SUBSCRIBE, QoS 3", 4, []byte{0x82, 6, 0, 1, 0, 1, 'a', 3}},
	{"SUBSCRIBE without filters", 4, []byte{0x82, 2, 0, 1}},
	{"SUBSCRIBE with wrong flags", 4, []byte{0x80, 6, 0, 1, 0, 1, 'a', 0}},
	{"SUBSCRIBE, filter that is not UTF-8", 4, []byte{0x82, 6, 0, 1, 0, 1, 0xff, 0}},
	{"v5 UNSUBSCRIBE, no properties", 5, []byte{0xa2, 2, 0, 1}},
	{"UNSUBSCRIBE without filters", 4, []byte{0xa2, 2, 0, 1}},
	{"UNSUBSCRIBE, filter cut off", 4, []byte{0xa2, 5, 0, 1, 0, 9, 'a'}},
	{"PUBLISH, QoS 3", 4, []byte{0x36, 5, 0, 1, 'a', 0, 1}},
	{"PUBLISH, empty", 4, []byte{0x30, 0}},
	{"PUBLISH, topic length beyond the packet", 4, []byte{0x30, 3, 0xff, 0xff, 'a'}},
	{"PUBLISH, NUL in the topic", 4, []byte{0x30, 3, 0, 1, 0}},
	{"PUBLISH, wildcard in the topic", 4, []byte{0x30, 3, 0, 1, '#'}},
	{"PUBLISH, QoS 1 with packet id 0", 4, []byte{0x32, 5, 0, 1, 'a', 0, 0}},
	{"PUBLISH, QoS 1 without packet id", 4, []byte{0x32, 3, 0, 1, 'a'}},
	{"v5 PUBLISH, no properties", 5, []byte{0x30, 3, 0, 1, 'a'}},
	{"v5 PUBLISH, unknown property", 5, []byte{0x30, 6, 0, 1, 'a', 2, 0x7e, 0}},
	{"v5 PUBLISH, no topic, no alias", 5, []byte{0x30, 3, 0, 0, 0}},
	{"v5 PUBLISH, alias 0", 5, []byte{0x30, 7, 0, 1, 'a', 3, 0x23, 0, 0}},
	{"v5 PUBLISH, alias beyond the maximum", 5, []byte{0x30, 7, 0, 1, 'a', 3, 0x23, 0xff, 0xff}},
	{"v5 PUBLISH, user property cut off", 5, []byte{0x30, 8, 0, 1, 'a', 4, 0x26, 0, 9, 'k'}},
	{"v5 PUBLISH, endless property length", 5, []byte{0x30, 8, 0, 1, 'a', 0xff, 0xff, 0xff, 0xff, 0xff}},
	{"PUBACK, empty", 4, []byte{0x40, 0}},
	{"PUBREC, cut off", 4, []byte{0x50, 1, 0}},
	{"PUBREL with wrong flags", 4, []byte{0x60, 2, 0, 1}},
	{"v5 PUBREL, broken properties", 5, []byte{0x62, 5, 0, 1, 0, 9, 0x1f}},
	{"a second CONNECT", 4, connect{id: "second"}.bytes()},
	{"CONNACK from a client", 4, []byte{0x20, 2, 0, 0}},
	{"SUBACK from a client", 4, []byte{0x90, 3, 0, 1, 0}},
	{"packet type 0", 4, []byte{0x00, 0}},
	{"v5 DISCONNECT, broken properties", 5, []byte{0xe0, 4, 0, 9, 0x11, 0}},
	{"v5 AUTH, unasked", 5, []byte{0xf0, 2, 0x18, 0x7f}},
	{"remaining length of five bytes", 4, []byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x7f}},
	{"remaining length of 256 MB", 4, []byte{0x30, 0xff, 0xff, 0xff, 0x7f}},
	{"remaining length just over the limit", 4, cat([]byte{0x30}, varint(256<<10))},

	{"first packet a PUBLISH", 0, publish(4, "a", 0, 0, false, "x")},
	{"first packet a PINGREQ", 0, []byte{0xc0, 0}},
	{"HTTP", 0, []byte("GET / HTTP/1.1\r\nHost: hub\r\n\r\n")},
	{"a TLS hello", 0, []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}},
	{"CONNECT, empty", 0, []byte{0x10, 0}},
	{"CONNECT, 256 MB long", 0, []byte{0x10, 0xff, 0xff, 0xff, 0x7f}},
	{"CONNECT, wrong protocol name", 0, packet(0x10, str("MQTX"), []byte{4, 2, 0, 0}, str("a"))},
	{"CONNECT, version 9", 0, packet(0x10, str("MQTT"), []byte{9, 2, 0, 0}, str("a"))},
	{"CONNECT, reserved flag", 0, packet(0x10, str("MQTT"), []byte{4, 3, 0, 0}, str("a"))},
	{"CONNECT, will of QoS 3", 0, packet(0x10, str("MQTT"), []byte{4, 0x1e, 0, 0}, str("a"), str("w"), str("x"))},
	{"CONNECT, will without topic", 0, packet(0x10, str("MQTT"), []byte{4, 0x06, 0, 0}, str("a"))},
	{"CONNECT, user name missing", 0, packet(0x10, str("MQTT"), []byte{4, 0x82, 0, 0}, str("a"))},
	{"CONNECT, client id cut off", 0, packet(0x10, str("MQTT"), []byte{4, 2, 0, 0}, []byte{0, 9, 'a'})},
	{"CONNECT, client id not UTF-8", 0, packet(0x10, str("MQTT"), []byte{4, 2, 0, 0}, str("\xff"))},
	{"v5 CONNECT, no properties", 0, packet(0x10, str("MQTT"), []byte{5, 2, 0, 0})},
	{"v5 CONNECT, broken properties", 0, packet(0x10, str("MQTT"), []byte{5, 2, 0, 0, 3, 0x21, 0}, str("a"))},
	{"v5 CONNECT, broken will properties", 0, packet(0x10, str("MQTT"), []byte{5, 6, 0, 0, 0}, str("a"), []byte{0x7f, 1})},
	{"CONNECT, client id inline", 0, connect{id: "inline"}.bytes()},
	{"CONNECT, client id with a line feed", 0, connect{id: "a\nb"}.bytes()},
	{"CONNECT, client id too long", 0, connect{id: strings.Repeat("x", 129)}.bytes()},
	{"CONNECT, no client id but a session", 0, connect{persistent: true}.bytes()},
	{"CONNECT, will of 65,000 levels", 0, connect{id: "a", willTopic: deepTopic, willPayload: "x"}.bytes()},
}

// harmless is dealt with, and its connection goes on.
var harmless = []vector{
	{"PUBLISH, topic of 65,000 levels, QoS 0", 4, publish(4, deepTopic, 0, 0, false, "x")},
	{"PUBLISH, topic of 65,000 levels, QoS 1", 4, publish(4, deepTopic, 1, 7, false, "x")},
	{"PUBLISH, topic of 65,000 levels, QoS 2", 4, publish(4, deepTopic, 2, 8, false, "x")},
	{"PUBLISH, topic of 65,000 levels, retained", 4, publish(4, deepTopic, 0, 0, true, "x")},
	{"v5 PUBLISH, topic of 65,000 levels, QoS 1", 5, publish(5, deepTopic, 1, 7, false, "x")},
	{"v5 PUBLISH, topic of 65,000 levels, alias", 5, publish(5, deepTopic, 0, 0, false, "x", topicAlias(1))},
	{"v5 PUBLISH, unknown alias", 5, publish(5, "", 0, 0, false, "x", topicAlias(2))},
	{"SUBSCRIBE, filter of 65,000 levels", 4, subscribe(4, 1, 0, deepTopic)},
	{"SUBSCRIBE, shared filter of 65,000 levels", 4, subscribe(4, 1, 0, "$share/g"+deepTopic)},
	{"SUBSCRIBE, 65,000 wildcards", 4, subscribe(4, 1, 0, strings.Repeat("+/", 32000)+"#")},
	{"v5 SUBSCRIBE, filter of 65,000 levels", 5, subscribe(5, 1, 0, deepTopic)},
	{"UNSUBSCRIBE, filter of 65,000 levels", 4, unsubscribe(4, 1, deepTopic)},
	{"v5 UNSUBSCRIBE, filter of 65,000 levels", 5, unsubscribe(5, 1, deepTopic)},
	{"PUBACK for nothing", 4, ack(0x40, 77)},
	{"PUBREC for nothing", 4, ack(0x50, 77)},
	{"PUBREL for nothing", 4, ack(0x62, 77)},
	{"PUBCOMP for nothing", 4, ack(0x70, 77)},
	{"SUBSCRIBE, misplaced wildcard", 4, subscribe(4, 1, 0, "a/#/b")},
	{"SUBSCRIBE, empty filter", 4, subscribe(4, 1, 0, "")},
}
