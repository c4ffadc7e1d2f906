package bridge

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hkw/session"
	"hkw/speaker"
	"hkw/speaker/library"
)

// The bounds of PubSubClient 2.8, the MQTT client of most Arduino sketches, as it
// comes: MQTT_MAX_PACKET_SIZE 256, of which publish() keeps MQTT_MAX_HEADER_SIZE 5
// for the fixed header; what arrives and is larger is dropped without a word.
const (
	smallPacket = 256
	smallHeader = 5
)

// fits tells whether PubSubClient sends it.
func fits(topic, payload string) bool {
	return smallHeader+2+len(topic)+len(payload) <= smallPacket
}

// micro is a microcontroller that speaks as PubSubClient does: MQTT 3.1.1, clean
// session, keepalive 15 s, QoS 0, each packet in one write.
type micro struct {
	t    testing.TB
	conn net.Conn
}

func newMicro(t testing.TB, url string) *micro {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	m := &micro{t, conn}
	const cleanSessionAndWill = 0x06
	connect := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, cleanSessionAndWill, 0, 15}, lengthThen("button-"+randomText(4))...)
	connect = append(append(connect, lengthThen("button/door")...), lengthThen("offline")...)
	m.write(0x10, connect)
	if kind, body := m.read(); kind != 0x20 || len(body) != 2 || body[1] != 0 {
		t.Fatalf("CONNECT is answered with %#x %v", kind, body)
	}
	return m
}

func lengthThen(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...) //nolint:gosec // of a test
}

// write sends a packet, in one write.
func (m *micro) write(kind byte, body []byte) {
	m.t.Helper()
	packet := append(append([]byte{kind}, binary.AppendUvarint(nil, uint64(len(body)))...), body...)
	if len(packet) > smallPacket {
		m.t.Fatalf("a packet of %d bytes", len(packet))
	}
	if _, err := m.conn.Write(packet); err != nil {
		m.t.Fatal(err)
	}
}

// read takes the next packet that fits; others are dropped.
func (m *micro) read() (kind byte, body []byte) {
	m.t.Helper()
	_ = m.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		one := oneByte{m.conn}
		kind, err := one.ReadByte()
		if err != nil {
			m.t.Fatal(err)
		}
		n, err := binary.ReadUvarint(one)
		if err != nil {
			m.t.Fatal(err)
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(m.conn, body); err != nil {
			m.t.Fatal(err)
		}
		if 1+len(binary.AppendUvarint(nil, n))+len(body) <= smallPacket {
			return kind, body
		}
	}
}

type oneByte struct{ io.Reader }

func (r oneByte) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r, b[:])
	return b[0], err
}

func (m *micro) publish(topic, payload string) bool {
	m.t.Helper()
	if !fits(topic, payload) {
		return false
	}
	m.write(0x30, append(lengthThen(topic), payload...))
	return true
}

func (m *micro) subscribe(topic string) {
	m.t.Helper()
	m.write(0x82, append(append([]byte{0, 1}, lengthThen(topic)...), 0))
}

// message takes the next message, whatever else arrives.
func (m *micro) message() (topic, payload string) {
	m.t.Helper()
	for {
		if kind, body := m.read(); kind&0xf0 == 0x30 {
			n := int(binary.BigEndian.Uint16(body))
			return string(body[2 : 2+n]), string(body[2+n:])
		}
	}
}

// ping is what keeps the connection.
func (m *micro) ping() {
	m.t.Helper()
	m.write(0xc0, nil)
	for kind := byte(0); kind != 0xd0; kind, _ = m.read() { //nolint:revive // other packets may come before
	}
}

// The longest names that make sense: a UUID for an id, a token as the hub makes it,
// and speakers, presets and media that a person has named.
const (
	longID    = "0b8f0c9e-7d1f-4f6a-9d53-1f6f2a6e9c01"
	longToken = "1234567890123456"
	longName  = "the-doorbell-of-the-garden-house"
	longURL   = "http://127.0.0.1:9/radio/stations/a-station-with-a-long-name/live-320kbps.mp3?x=1"
	longText  = "Dinner is ready. Everybody please come down to the kitchen and bring the plates."
)

// longest is a JSON value of the field, as long as makes sense; short one that
// leaves room for others.
func longest(f Field) (long, short string) {
	switch f.Kind {
	case KindInt, KindSeconds:
		n := fmt.Sprint(f.Max)
		return n, n
	case KindFraction:
		return "0.75", "0.75"
	case KindBool:
		return "false", "true"
	case KindTime:
		return `"2026-01-31T08:00:00.000+01:00"`, `"2026-01-31T08:00:00Z"`
	case KindMedia:
		return `"` + longURL + `"`, `"doorbell"`
	case KindSpeakers:
		return `["` + longName + `","` + longName + `"]`, `["kitchen","hall"]`
	case KindMode:
		return `"interrupt"`, `"queue"`
	case KindPower:
		return `"OFF"`, `"ON"`
	case KindSwitch:
		return `"toggle"`, `true`
	case KindQuiet:
		return `"auto"`, `"on"`
	case KindText:
		switch f.Name {
		case fieldID.Name:
			return `"` + longID + `"`, `"press-17"`
		case fieldSession.Name:
			return `"` + longToken + `"`, `"` + longToken + `"`
		case "say":
			return `"` + longText + `"`, `"Dinner is ready"`
		}
		return `"` + longName[:min(f.Max, len(longName))] + `"`, `"kitchen"`
	}
	return "", ""
}

// form is one way to say something to the hub.
type form struct{ topic, payload string }

// forms are those of a route: bare, empty, with what is required alone, with each
// other field beside it in each of its spellings, and with all fields at once.
func forms(t *testing.T, r Route) (all []form) {
	t.Helper()
	topic := "hkw/home/" + strings.Replace(r.Topic, "+", longName, 1)
	add := func(payload string) {
		if f := (form{topic, payload}); !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	if r.Empty {
		add("")
	}
	if r.Bare != "" {
		long, _ := longest(r.field(r.Bare))
		add(strings.Trim(long, `"`))
	} else if r.Empty {
		add("pressed")
	}
	var needed, full []string
	for _, f := range r.Fields {
		long, short := longest(f)
		if long == "" {
			t.Fatalf("no example of a %s, which %q of %s is", f.Kind, f.Name, r.Topic)
		}
		if f.Required {
			needed = append(needed, `"`+f.Name+`":`+long)
		}
		if f.Name != "expires" { // ttl says the same and needs no clock
			full = append(full, `"`+f.Name+`":`+short)
		}
	}
	add("{" + strings.Join(needed, ",") + "}")
	for _, f := range r.Fields {
		for _, spelling := range append([]string{f.Name}, f.Aliases...) {
			var others []string
			for _, o := range r.Fields {
				if o.Required && o.Name != f.Name {
					_, short := longest(o)
					others = append(others, `"`+o.Name+`":`+short)
				}
			}
			long, _ := longest(f)
			add("{" + strings.Join(append(others, `"`+spelling+`":`+long), ",") + "}")
		}
	}
	add("{" + strings.Join(full, ",") + "}")
	return all
}

// Everything that can be said to a hub can be said by a microcontroller.
func TestEveryCommandFitsASmallPacket(t *testing.T) {
	for _, r := range Routes {
		for _, f := range forms(t, r) {
			if !fits(f.topic, f.payload) {
				t.Errorf("%s: %d bytes are too many: %s", f.topic, smallHeader+2+len(f.topic)+len(f.payload), f.payload)
			}
			topic, _ := strings.CutPrefix(f.topic, "hkw/home/")
			if _, why := decode(topic, []byte(f.payload), time.Now()); why != nil {
				t.Errorf("%s %s: %s", f.topic, f.payload, why.message)
			}
		}
	}
}

// Each of them arrives, in raw packets, over hkw's own broker and over Mosquitto.
func TestMicrocontrollerSpeaks(t *testing.T) {
	speaks := func(t *testing.T, h *house) {
		t.Helper()
		button, results := newMicro(t, h.url), h.listen("result/+")
		sent := 0
		for _, r := range Routes {
			for _, f := range forms(t, r) {
				if !button.publish(f.topic, f.payload) {
					t.Fatalf("%s %s is too large", f.topic, f.payload)
				}
				m := until(t, results, f.topic+" is answered", func(busMessage) bool { return true })
				var res Result
				if err := json.Unmarshal(m.payload, &res); err != nil || res.Command != r.Command || res.Error == RateLimited {
					t.Errorf("%s %s: %s", f.topic, f.payload, m.payload)
				}
				sent++
			}
			button.ping()
		}
		t.Logf("%d commands", sent)
	}
	t.Run("embedded", func(t *testing.T) { speaks(t, newHouse(t)) })
	t.Run("mosquitto", func(t *testing.T) { speaks(t, newHouseOn(t, startMosquitto(t).url())) })
}

// It hears what is retained as bare text, all of it, the moment it subscribes.
func TestMicrocontrollerHears(t *testing.T) {
	h := newHouse(t, announcing("homeassistant"), func(c *Config) { c.HomeAssistant.MediaPlayer = true })
	h.must("play", `"media":"alarm"`, session.OutcomeStarted)
	button := newMicro(t, h.url)
	want := map[string]bool{}
	for _, r := range Retained {
		if r.JSON == "" && !strings.Contains(r.Topic, "<") {
			want["hkw/home/"+r.Topic] = true
		}
	}
	for topic := range want {
		button.subscribe(topic)
	}
	for len(want) > 0 {
		topic, payload := button.message()
		if payload == "" {
			t.Errorf("nothing on %s", topic)
		}
		delete(want, topic)
	}
	button.subscribe("hkw/home/status/#") // it cannot take the large ones, and lives
	button.ping()
	if !button.publish("hkw/home/stop", "") {
		t.Error("too large")
	}
	for topic, payload := "", ""; topic != "hkw/home/status/player_state" || payload != string(session.PlayerStateStopped); {
		topic, payload = button.message()
	}
}

// What is retained as bare text fits whatever the hub is called and plays, with the
// packet id of QoS 1 as well.
func TestBareStatusFitsASmallPacket(t *testing.T) {
	title := strings.Repeat("Ünendlicher Titel ", 200)
	b := newBench(t, func(c *Config) {
		c.Hub = strings.Repeat("h", 64)
		c.Media = catalogue{"long": {ID: "1", Kind: library.KindHub, Title: title, Path: "long.flac"}, "alarm": testMedia["bell"]}
	})
	said := append(b.publish("play", "long"), b.publish("siren", "ON")...)
	for id := range 3 {
		b.hub.mail.put(speaker.Report{Kind: speaker.ReportSpeaker, Speaker: speaker.SpeakerInfo{ID: fmt.Sprintf("%s-%d", longName, id), Available: true}})
	}
	b.settle()
	said = append(said, b.publish("volume", "50")...)
	said = append(said, message{topic: availabilityTopic, payload: []byte(Offline), retained: true})
	titled, whole := false, false
	for _, m := range said {
		whole = whole || m.topic == "status" && strings.Contains(string(m.payload), title)
		bare := slices.IndexFunc(Retained, func(r RetainedTopic) bool {
			pattern := regexp.MustCompile(`<\w+>`).ReplaceAllString(r.Topic, `[A-Za-z0-9_-]+`)
			return r.JSON == "" && regexp.MustCompile("^"+pattern+"$").MatchString(m.topic)
		}) >= 0
		if !bare {
			continue
		}
		body := 2 + len(b.hub.out.prefix+m.topic) + 2 + len(m.payload)
		if n := 1 + len(binary.AppendUvarint(nil, uint64(body))) + body; n > smallPacket { //nolint:gosec // of a test
			t.Errorf("%s: %d bytes", m.topic, n)
		}
		if m.topic == "status/title" && len(m.payload) > 0 && strings.HasPrefix(title, strings.TrimSuffix(string(m.payload), "…")) {
			titled = true
			if len(m.payload) < maxTitle {
				t.Errorf("the title is cut to %d bytes", len(m.payload))
			}
		}
	}
	if !titled || !whole {
		t.Errorf("the title was told: %v; whole, in the snapshot: %v", titled, whole)
	}
}
