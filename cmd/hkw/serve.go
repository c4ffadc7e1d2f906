package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hkw/bridge"
	"hkw/session"
)

// greetTime is how long the greeting waits for the hubs to be on the bus.
const greetTime = 3 * time.Second

// settleTime is how long no new output may be found before they count as all.
const settleTime = 100 * time.Millisecond

// serve runs the hubs until it is told to end.
func (p *program) serve(cmd *cobra.Command, _ []string) error {
	cfg, err := p.config(cmd)
	if err != nil {
		return err
	}
	log := p.logger(cfg.level)
	a := newApp(cfg, p.version, log)
	if p.serving != nil {
		p.serving(a)
	}
	ctx, stop := context.WithCancel(cmd.Context())
	greeted := make(chan struct{})
	go func() {
		defer close(greeted)
		select {
		case <-a.started:
			p.greet(a, a.look(ctx))
		case <-ctx.Done():
		}
	}()
	err = a.Run(ctx)
	stop()
	<-greeted
	if err == nil {
		log.Info().Msg("ended in good order")
	}
	return err
}

// sight is what one wants to know of a hub that has just started.
type sight struct {
	hub    string
	status *bridge.Status // nil if the hub could not be read on its bus
}

// look reads the hubs' status as any client would, so that the greeting tells what
// is true on the bus.
func (a *app) look(ctx context.Context) []sight {
	ctx, cancel := context.WithTimeout(ctx, greetTime)
	defer cancel()
	sights := make([]sight, 0, len(a.hubs))
	for _, h := range a.hubs {
		s := sight{hub: h.ID()}
		for !h.Connected() && pause(ctx, 10*time.Millisecond) {
		}
		// Outputs are found in the first moments, one after the other: a hub that has
		// none yet, or more than a moment ago, is read again.
		for found := 0; h.Connected() && ctx.Err() == nil; found = len(s.status.Speakers) {
			status, err := readStatus(ctx, a.reached(), h.ID(), greetTime)
			if err == nil {
				s.status = &status
			}
			if err != nil || found > 0 && len(status.Speakers) == found || !pause(ctx, settleTime) {
				break
			}
		}
		sights = append(sights, s)
	}
	return sights
}

// reached is the configuration of a client of this process: with the port that
// was really opened.
func (a *app) reached() *config {
	cfg := *a.cfg
	if a.mqttAddr != nil {
		cfg.mqtt = a.mqttAddr.String()
	}
	return &cfg
}

// pause waits, and tells whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// greet says what runs: as a page on a terminal, else in the log.
func (p *program) greet(a *app, sights []sight) {
	if p.terminal {
		p.say("%s", a.greeting(sights))
		return
	}
	for _, s := range sights {
		e := a.log.Info().Str("hub", s.hub).Str("version", a.version).Str("mqtt", a.busAddress()).Str("http", a.httpAddr.String())
		if s.status != nil {
			_, count := a.library.List("", 0, 1)
			e = e.Strs("speakers", speakerIDs(*s.status)).Int("media", count).Str("try", a.tries(s.hub)[0])
		}
		if s.status == nil {
			e.Msg("started; the broker is not there yet, trying on")
			continue
		}
		e.Msg("serving")
	}
}

// counting says that the library is not through with its folder.
func (a *app) counting() string {
	select {
	case <-a.library.Ready():
		return ""
	default:
		return "; still counting"
	}
}

func (a *app) busAddress() string {
	if a.mqttAddr != nil {
		return a.mqttAddr.String()
	}
	return redactURL(a.cfg.broker)
}

// busForOthers is the bus as the page tells of it. Whoever reads the page on another
// machine reaches a broker of this process at the address that the page came from.
func (a *app) busForOthers() bridge.BusAddress {
	scheme, host, port := brokerHost(a.reached().brokerURL())
	bus := bridge.BusAddress{Host: host, User: a.cfg.user, TLS: scheme == "tls" || scheme == "wss"}
	bus.Port, _ = strconv.Atoi(port) // none: the usual one
	if a.mqttAddr != nil && onlyLoopback(context.Background(), a.mqttAddr.String()) != nil {
		bus.Host = ""
	}
	return bus
}

// greeting is the page that serve begins with on a terminal.
func (a *app) greeting(sights []sight) string {
	var s strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&s, "  %-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&s, "\nhkw %s\n\n", a.version)
	if a.mqttAddr != nil {
		row("MQTT", "%s, and ws://%s/mqtt", a.mqttAddr, a.httpAddr)
	} else {
		row("MQTT", "%s", a.busAddress())
	}
	row("Page", "http://%s/", a.httpAddr)
	media := ", chimes only; --media FOLDER adds music"
	if a.cfg.media != "" {
		media = " in " + a.cfg.media + ", chimes included" + a.counting()
	}
	for _, sight := range sights {
		row("Hub", "%s, on hkw/%s/#", sight.hub, sight.hub)
		if sight.status == nil {
			row("", "not on the bus yet: the broker does not answer; trying on")
			continue
		}
		name := "Speakers"
		if len(sight.status.Speakers) == 0 {
			row(name, "none yet; `hkw doctor` says what to do")
		}
		for _, sp := range sight.status.Speakers {
			row(name, "%s", strings.TrimPrefix(describeSpeaker(sp), "speaker "))
			name = ""
			for _, line := range describeHush(" of "+sp.ID, nil, hushOfSpeaker(sp)) {
				row("", "%s", line)
			}
		}
		if s := sight.status; s.Muted {
			row("Mute", "%s", describeMute(true, s.MuteBelow))
		}
		if q := sight.status.Quiet; q.From != "" || q.Mode != session.QuietAuto {
			row("Quiet", "%s", describeQuiet(q))
		}
	}
	_, count := a.library.List("", 0, 1)
	row("Media", "%s%s", counted(count, "piece"), media)
	if len(sights) > 0 {
		fmt.Fprintf(&s, "\nTo hear something, in another terminal:\n\n")
		for _, line := range a.tries(sights[0].hub) {
			fmt.Fprintf(&s, "  %s\n", line)
		}
	}
	return s.String()
}

// tries are the lines to paste to hear something.
func (a *app) tries(hub string) []string {
	var lines []string
	address := a.reached().brokerURL()
	scheme, host, port := brokerHost(address)
	if scheme == "tcp" || scheme == "tls" {
		line := fmt.Sprintf("mosquitto_pub -h %s -p %s", host, port)
		if a.cfg.user != "" {
			line += " -u " + a.cfg.user + " -P …"
		}
		if a.cfg.ca != "" {
			line += " --cafile " + a.cfg.ca
		} else if scheme == "tls" {
			line += " --tls-use-os-certs"
		}
		lines = append(lines, line+fmt.Sprintf(" -t hkw/%s/play -m chime", hub))
	}
	line := called + " play chime"
	// What was given by flag is not known to the other terminal.
	if hub != settingByName(setHub).byDefault {
		line += " --hub " + hub
	}
	if a.cfg.broker != "" {
		line += " --broker " + a.cfg.broker
	} else if at := net.JoinHostPort(host, port); at != settingByName(setMQTT).byDefault {
		line += " --mqtt-listen " + at
	}
	return append(lines, line)
}
