package bridge

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/rs/zerolog"

	"hkw/broker"
	"hkw/session"
	"hkw/speaker"
	audio "hkw/speaker/decode"
	"hkw/speaker/library"
	"hkw/speaker/wavfile"
)

// The tones of the story, in Hz; whole periods fit 10 ms.
const toneA, toneB, toneC = 500, 900, 1700

// toneFile is a file that the story plays.
func toneFile(t testing.TB, dir, name string, hz float64, length time.Duration) []int16 {
	t.Helper()
	samples := make([]int16, 2*int(length.Seconds()*speaker.SampleRate))
	for i := range len(samples) / 2 {
		s := int16(12000 * math.Sin(2*math.Pi*hz*float64(i)/speaker.SampleRate))
		samples[2*i], samples[2*i+1] = s, s
	}
	var b bytes.Buffer
	b.WriteString("RIFF")
	le := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	le(uint32(36 + 2*len(samples)))
	b.WriteString("WAVEfmt ")
	le(uint32(16))
	le([]uint16{1, 2})
	le([]uint32{speaker.SampleRate, 4 * speaker.SampleRate})
	le([]uint16{4, 16})
	b.WriteString("data")
	le(uint32(2 * len(samples)))
	le(samples)
	if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return samples
}

// heardOn are the samples that a wav speaker has written so far.
func heardOn(t *testing.T, file string) []int16 {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil || len(data) < 44 {
		return nil
	}
	i := bytes.Index(data, []byte("data"))
	pcm := data[i+8:]
	samples := make([]int16, len(pcm)/2)
	for i := range samples {
		samples[i] = int16(binary.LittleEndian.Uint16(pcm[2*i:]))
	}
	return samples
}

// tones names what is heard in each 20 ms: 0 is silence, -1 something else.
func tones(samples []int16) []int {
	const block = speaker.SampleRate / 50
	var heard []int
	for at := 0; at+2*block <= len(samples); at += 2 * block {
		var energy float64
		for i := range block {
			energy += float64(samples[at+2*i]) * float64(samples[at+2*i])
		}
		what := -1
		if energy/block < 100 {
			what = 0
		}
		for _, hz := range []int{toneA, toneB, toneC} {
			var re, im float64
			for i := range block {
				sin, cos := math.Sincos(2 * math.Pi * float64(hz) * float64(i) / speaker.SampleRate)
				re += float64(samples[at+2*i]) * cos
				im += float64(samples[at+2*i]) * sin
			}
			if 2*(re*re+im*im)/block > 0.9*energy && what != 0 {
				what = hz
			}
		}
		heard = append(heard, what)
	}
	return heard
}

// runs puts equal tones together, dropping what is shorter than 60 ms: a swap
// falls into the middle of a block.
func runs(heard []int) (names []int, length []time.Duration) {
	for _, h := range heard {
		if n := len(names); n > 0 && names[n-1] == h {
			length[n-1] += 20 * time.Millisecond
			continue
		}
		names, length = append(names, h), append(length, 20*time.Millisecond)
	}
	var n2 []int
	var l2 []time.Duration
	for i := range names {
		if length[i] < 60*time.Millisecond {
			continue
		}
		if k := len(n2); k > 0 && n2[k-1] == names[i] {
			l2[k-1] += length[i]
			continue
		}
		n2, l2 = append(n2, names[i]), append(l2, length[i])
	}
	return n2, l2
}

// files is a catalogue of the files of a folder, unwatched: a watcher would wait
// for the kernel, and virtual time stand still.
type files struct{ dir string }

func (f files) Resolve(name string) (library.Media, error) {
	if _, err := os.Stat(filepath.Join(f.dir, name)); err != nil {
		return library.Media{}, library.ErrNotFound
	}
	return library.NewMedia(library.Media{ID: name, Kind: library.KindHub, Title: name, Path: name}, opener(filepath.Join(f.dir, name))), nil
}

func (f files) List(string, int, int) ([]library.Media, int) { return nil, 0 }

func (f files) Count() int { return 0 }

type opener string

func (o opener) Open(ctx context.Context) (speaker.Source, error) {
	file, err := os.Open(string(o))
	if err != nil {
		return nil, err
	}
	return audio.Open(ctx, file, audio.Options{})
}

// TestStory is HKWHub's story, over MQTT, with real files that are really mixed
// and written down, in virtual time: the hour until a session expires too.
func TestStory(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		driver := wavfile.New()
		h := newVirtualHouse(t, func(c *Config) {
			c.Media = files{dir}
			c.Speakers = []speaker.Setup{{ID: "kitchen", Driver: driver, Target: filepath.Join(dir, "kitchen-out.wav")},
				{ID: "hall", Driver: driver, Target: filepath.Join(dir, "hall-out.wav")}}
		})
		tellStory(t, h.house, dir, time.Hour)
		h.end()
		_ = driver.Close()
	})
}

// virtualHouse is a house in virtual time: everything is in this process.
type virtualHouse struct {
	*house
	broker *broker.Broker
}

func newVirtualHouse(t *testing.T, furnishing ...furnish) *virtualHouse {
	t.Helper()
	b, err := broker.New(broker.Config{Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Hub: "home", Media: testMedia, Broker: BrokerConfig{Dial: b.DialHub}, Log: zerolog.Nop()}
	for _, f := range furnishing {
		f(&cfg)
	}
	hub, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://in.process:1883").SetClientID("virtual").SetProtocolVersion(4).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return b.Dial(context.Background()) }))
	if tok := client.Connect(); tok.Wait() && tok.Error() != nil {
		t.Fatal(tok.Error())
	}
	ctx, leave := context.WithCancel(context.Background())
	h := &virtualHouse{house: &house{t: t, hub: hub, client: client, leave: leave, left: make(chan error, 1)}, broker: b}
	go func() { h.left <- hub.Run(ctx) }()
	time.Sleep(time.Second)
	return h
}

// end takes the house down, so that nothing is left in the bubble.
func (h *virtualHouse) end() {
	h.t.Helper()
	h.leave()
	if err := <-h.left; err != nil {
		h.t.Error(err)
	}
	h.client.Disconnect(100)
	if err := h.broker.Close(); err != nil {
		h.t.Error(err)
	}
}

// TestReconnects: however long the broker was away, the hub is back two seconds
// after it at the latest, with a true status.
func TestReconnects(t *testing.T) {
	for _, away := range []time.Duration{time.Second, 7 * time.Second, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			var dead atomic.Bool
			var mu sync.Mutex
			var conn net.Conn
			h := newVirtualHouse(t, func(c *Config) {
				dial := c.Broker.Dial
				c.Broker.Dial = func(ctx context.Context, hub string) (net.Conn, error) {
					if dead.Load() {
						return nil, net.ErrClosed
					}
					mu.Lock()
					defer mu.Unlock()
					var err error
					conn, err = dial(ctx, hub)
					return conn, err
				}
			})
			heard := h.listen("status", "status/availability")
			dead.Store(true)
			mu.Lock()
			_ = conn.Close()
			mu.Unlock()
			time.Sleep(away)
			for len(heard) > 0 {
				<-heard
			}
			dead.Store(false)
			back := time.Now()
			snapshot := false
			m := until(t, heard, "the hub is back", func(m busMessage) bool {
				snapshot = snapshot || strings.HasSuffix(m.topic, "/status")
				return string(m.payload) == Online
			})
			if took := m.at.Sub(back); took > 2*time.Second || !snapshot {
				t.Errorf("away %s: back after %s, snapshot before it: %v", away, took, snapshot)
			}
			h.must("ping", "", session.OutcomeDone)
			h.end()
		})
	}
}

// tellStory tells it on a hub whose media are in dir and whose speakers write to
// kitchen-out.wav and hall-out.wav there.
func tellStory(t *testing.T, h *house, dir string, timeout time.Duration) {
	t.Helper()
	toneFile(t, dir, "a.wav", toneA, 5*time.Second)
	b := toneFile(t, dir, "b.wav", toneB, 2*time.Second)
	toneFile(t, dir, "c.wav", toneC, 2*time.Second)
	events := h.listen("event/playback")
	h.must("volume", `"volume":50`, session.OutcomeDone)

	// A plays at 100.
	sessionA := h.must("session/open", `"priority":100`, session.OutcomeDone)
	playA := h.must("play", `"media":"a.wav","session":"`+sessionA.Session+`"`, session.OutcomeStarted)
	time.Sleep(500 * time.Millisecond)

	// B at 100 interrupts: A is stopped, and still valid.
	sessionB := h.must("session/open", "", session.OutcomeDone)
	statusA := h.listen("status/session/" + sessionA.SessionRef)
	playB := h.must("play", `"media":"b.wav","priority":100,"session":"`+sessionB.Session+`"`, session.OutcomeStarted)
	if e := event(t, events, session.EventInterrupted, playA.Playback); e.By != playB.Playback || e.State != session.PlayerStateStopped {
		t.Errorf("interrupted: %+v", e)
	}
	until(t, statusA, "A is stopped", func(m busMessage) bool {
		var s SessionStatus
		return json.Unmarshal(m.payload, &s) == nil && s.State == session.PlayerStateStopped
	})
	h.must("stop", `"session":"`+sessionA.Session+`"`, session.OutcomeDone)

	// C at 50 is refused; nothing changes, B is still heard.
	time.Sleep(300 * time.Millisecond)
	if r := h.must("play", `"media":"c.wav","priority":50`, session.OutcomeRejected); r.Error != session.PriorityTooLow || r.Current == nil || r.Current.ID != playB.Playback {
		t.Errorf("C: %+v", r)
	}

	// B ends; the hub is idle.
	event(t, events, session.EventFinished, playB.Playback)
	until(t, h.listen("status/player_state"), "the hub is idle", func(m busMessage) bool { return string(m.payload) == string(session.PlayerStateStopped) })

	// The session expires, and a command with it is denied.
	h.must("stop", `"session":"`+sessionA.Session+`"`, session.OutcomeDone)
	gone := h.listen("status/session/" + sessionA.SessionRef)
	time.Sleep(timeout + time.Second)
	until(t, gone, "A's status is removed", func(m busMessage) bool { return len(m.payload) == 0 })
	if r := h.must("play", `"media":"a.wav","session":"`+sessionA.Session+`"`, session.OutcomeRejected); r.Error != session.SessionNotFound {
		t.Errorf("an expired session: %+v", r)
	}

	kitchen, hall := heardOn(t, filepath.Join(dir, "kitchen-out.wav")), heardOn(t, filepath.Join(dir, "hall-out.wav"))
	names, length := runs(tones(kitchen))
	var sounding []int
	for i, n := range names {
		if n == 0 {
			continue
		}
		sounding = append(sounding, n)
		if n == toneA && length[i] < 400*time.Millisecond {
			t.Errorf("A was heard for %s", length[i])
		}
	}
	if fmt.Sprint(sounding) != fmt.Sprint([]int{toneA, toneB}) {
		t.Errorf("heard %v for %v, want A and then B", names, length)
	}
	at := find(kitchen, b)
	if at < 0 {
		t.Error("B was not written down sample for sample")
	}
	if i := find(hall, b); i < 0 || abs(i-at) > 2*speaker.SampleRate/1000 {
		t.Errorf("B begins at sample %d in the kitchen and at %d in the hall, more than 1 ms apart", at, i)
	}
}

func abs(n int) int { return max(n, -n) }

// find finds samples within others, sample for sample.
func find(in, samples []int16) int {
	first := 0
	for samples[first] == 0 {
		first++
	}
	for at := 0; at+len(samples) <= len(in); at++ {
		if in[at+first] != samples[first] {
			continue
		}
		same := true
		for i := range samples {
			if in[at+i] != samples[i] {
				same = false
				break
			}
		}
		if same {
			return at
		}
	}
	return -1
}
