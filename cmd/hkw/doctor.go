package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"hkw/bridge"
	"hkw/speaker"
	"hkw/speaker/library"
	"hkw/speaker/speech"
)

// level is how bad a finding is.
type level string

const (
	levelOK      level = "ok"
	levelNote    level = "note"    // worth knowing
	levelWarning level = "warning" // a part of it will not work
	levelProblem level = "problem" // the hub could not serve, or not be heard
)

// finding is one thing that doctor looked at.
type finding struct {
	Check string `json:"check"`
	Level level  `json:"level"`
	Found string `json:"found"`
	Do    string `json:"do,omitempty"` // about it
}

const (
	doctorTime = 2 * time.Second // for one thing to answer
	countTime  = 5 * time.Second // for the media to be counted
)

func (p *program) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Say what is there to make sound with, and what to do about the rest", Args: noArguments,
		Long: "Look at what a hub with this configuration would find: sound outputs, speech, media, ports, broker, and\n" +
			"a hub that runs already. Ends with code 1 if it finds a problem: the hub could not serve, or not be heard.",
	}
	addSettings(cmd.Flags(), true)
	asJSON := cmd.Flags().Bool("json", false, "print the findings as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := p.config(cmd)
		if err != nil {
			return err
		}
		d := &doctor{cfg: cfg}
		d.examine(cmd.Context())
		if err := cmd.Context().Err(); err != nil {
			return err
		}
		if *asJSON {
			text, err := json.MarshalIndent(d.findings, "", "  ")
			if err != nil {
				return err
			}
			p.say("%s", text)
		} else {
			p.say("%s", strings.TrimRight(d.page(), "\n"))
		}
		for _, f := range d.findings {
			if f.Level == levelProblem {
				return &exitError{code: exitRuntime, err: errors.New("the hub could not serve or be heard"), silent: true}
			}
		}
		return nil
	}
	return cmd
}

// doctor looks at one thing after the other.
type doctor struct {
	cfg      *config
	findings []finding
	running  bool // a hub is online: what it says of its speakers is what counts
}

func (d *doctor) add(check string, l level, found, do string) {
	d.findings = append(d.findings, finding{check, l, found, do})
}

func (d *doctor) examine(ctx context.Context) {
	d.add("configuration", levelOK, "file "+orNone(d.cfg.file), "")
	d.hubs(ctx)
	if !d.running {
		d.ports(ctx)
		for _, h := range d.cfg.hubs {
			d.sound(ctx, h)
		}
	}
	d.media(ctx)
	d.decoder(ctx)
	d.speech(ctx)
	for _, w := range d.cfg.weaknesses() {
		found, do, _ := strings.Cut(w, "; ")
		d.add("secrets", levelWarning, found, do)
	}
	if err := checkData(d.cfg.data); err != nil {
		d.add("data", levelWarning, err.Error(), "name a folder that can be written with --data; without one volumes do not survive a restart")
	} else {
		d.add("data", levelOK, d.cfg.data, "")
	}
}

// hubs looks for the broker and for hubs that run already.
func (d *doctor) hubs(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	probe, err := openBus(ctx, d.cfg, d.cfg.hub)
	switch {
	case err == nil:
		probe.close()
		d.add("broker", levelOK, d.cfg.brokerURL()+" answers", "")
	case d.cfg.broker == "":
		d.add("broker", levelNote, "no embedded broker runs at "+dialable(d.cfg.mqtt), "start `hkw serve`")
		return
	default:
		d.add("broker", levelProblem, oneLine(err), "start the broker, or correct --broker, HKW_BROKER_USER and HKW_BROKER_PASSWORD")
		return
	}
	for _, h := range d.cfg.hubs {
		status, err := readStatus(ctx, d.cfg, h.name, doctorTime)
		if err != nil {
			d.add("hub "+h.name, levelNote, oneLine(err), "start `hkw serve`, or name another hub with --hub")
			continue
		}
		d.running = true
		d.add("hub "+h.name, levelOK, "online", "")
		d.speakers(ctx, status)
	}
}

// speakers judges the speakers of a hub that runs.
func (d *doctor) speakers(ctx context.Context, status bridge.Status) {
	o := &output{opened: map[string]speaker.Driver{}}
	defer func() { _ = o.close() }()
	heard, do := false, doAboutSpeakers
	for _, sp := range status.Speakers {
		check := "speaker " + sp.ID
		switch {
		case !sp.Available:
			d.add(check, levelWarning, strings.TrimSuffix("cannot be heard: "+sp.Error, ": "), aboutSpeaker(ctx, o, sp.Driver, sp.Error))
		case sp.Warning != "":
			do = doAboutDriver(driverPulse)
			d.add(check, levelNote, sp.Warning, do)
		case sp.Driver == driverNull:
			d.add(check, levelNote, "plays into the void, as configured", "")
		default:
			heard = true
			d.add(check, levelOK, describeSpeaker(sp), "")
		}
	}
	if !heard {
		d.add("sound of hub "+status.Hub, levelProblem, "none of its speakers can be heard", do)
	}
}

// ports looks who has the addresses that serve would listen on.
func (d *doctor) ports(ctx context.Context) {
	names := []string{setHTTP}
	if d.cfg.broker == "" {
		names = []string{setMQTT, setHTTP}
	}
	tokens, err := d.cfg.allTokens()
	if err != nil {
		d.add(setTokenFile, levelProblem, oneLine(err), "correct the file, or leave it out; `hkw token` makes a token")
	}
	for _, name := range names {
		address := d.cfg.values[name].text()
		asks := name == setHTTP && len(tokens) > 0
		if err := onlyLoopback(ctx, address); err != nil && !d.cfg.open && !asks {
			d.add(name, levelProblem, address+" "+err.Error(), insteadOfOpen(name))
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		switch {
		case err == nil:
			_ = l.Close()
			d.add(name, levelOK, address+" is free", "")
		case inUse(err) && name == setHTTP && d.isHub(ctx, address):
			d.add(name, levelProblem, address+" is in use by another hkw", "stop it, or choose another address with --"+name)
		case inUse(err):
			d.add(name, levelProblem, address+" is in use by another program", "stop it, or choose another address with --"+name)
		default:
			d.add(name, levelProblem, "cannot listen on "+address+": "+plainNetError(err).Error(), "choose another address with --"+name)
		}
	}
}

// isHub tells whether an hkw answers at an address of HTTP.
func (d *doctor) isHub(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	_, err := askHealth(ctx, dialable(address))
	return err == nil
}

// sound looks what the speakers of a hub that does not run yet would be.
func (d *doctor) sound(ctx context.Context, hub hubConfig) {
	o := &output{opened: map[string]speaker.Driver{}}
	defer func() { _ = o.close() }()
	heard, do := false, doAboutSpeakers
	if hub.speakers == nil {
		heard, do = d.discovered(ctx, o), doAboutDriver(driverPulse)
	}
	for _, s := range hub.speakers {
		if s.driver == driverNull {
			d.add("speaker "+s.name, levelNote, "plays into the void, as configured", "")
			continue
		}
		err := try(ctx, o.driver(s.driver, zerolog.Nop()), s.target(d.cfg.env))
		if err != nil {
			d.add("speaker "+s.name, levelWarning, oneLine(err), aboutSpeaker(ctx, o, s.driver, err.Error()))
			continue
		}
		heard = true
		d.add("speaker "+s.name, levelOK, strings.TrimSuffix(s.driver+" "+s.argument, " "), "")
	}
	if !heard {
		d.add("sound of hub "+hub.name, levelProblem, "nothing would be heard", do)
	}
}

// discovered looks at what a hub without configured speakers would find.
func (d *doctor) discovered(ctx context.Context, o *output) bool {
	for _, k := range drivers {
		if !k.discover {
			continue
		}
		found, err := targets(ctx, o.driver(k.name, zerolog.Nop()))
		if err != nil {
			d.add("sound server", levelNote, k.name+": "+oneLine(err), "")
			continue
		}
		for _, t := range found {
			mark := ""
			if t.Default {
				mark = " (default)"
			}
			d.add("sound output", levelOK, fmt.Sprintf("%s:%s, %s%s", k.name, t.ID, t.Description, mark), "")
		}
		return true
	}
	if platformDriver == "" {
		return false
	}
	if err := try(ctx, o.driver(platformDriver, zerolog.Nop()), ""); err != nil {
		d.add("sound output", levelWarning, oneLine(err), doAboutDriver(platformDriver))
		return false
	}
	d.add("sound output", levelOK, "the default output of "+runtime.GOOS, "")
	return true
}

// try finds out whether an output could be opened, without leaving a trace.
func try(ctx context.Context, d speaker.Driver, target string) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	if k, _ := driverByName(d.Name()); k.isPath {
		return checkFile(target)
	}
	sink, err := d.Open(ctx, target)
	if err != nil {
		return err
	}
	return sink.Close()
}

// doAboutSpeakers is said of a hub whose own speakers are all silent.
const doAboutSpeakers = "name a speaker that can be heard with --speaker"

// aboutSpeaker says what to do about a speaker: where a sound server answers that does not
// have it, what else it has.
func aboutSpeaker(ctx context.Context, o *output, driver, problem string) string {
	k, _ := driverByName(driver)
	if !k.discover || !strings.HasPrefix(problem, speaker.ErrNoSuchSpeaker.Error()) {
		return doAboutDriver(driver)
	}
	found, err := targets(ctx, o.driver(driver, zerolog.Nop()))
	if err != nil {
		return doAboutDriver(driver)
	}
	var list []string
	for _, t := range found {
		list = append(list, fmt.Sprintf("%s:%s (%s)", driver, t.ID, t.Description))
	}
	return "name one that is there in its --speaker: " + strings.Join(list, ", ")
}

func doAboutDriver(driver string) string {
	switch k, _ := driverByName(driver); {
	case k.advice != "":
		return k.advice
	case driver != driverPulse:
		return "correct its --speaker"
	case runtime.GOOS == "linux":
		return "start PulseAudio or PipeWire (with pipewire-pulse) for this user, or set PULSE_SERVER to the one that runs; `pactl info` must answer"
	}
	return "choose an output with --speaker NAME=DRIVER[:ARGUMENT]; the drivers are " + strings.Join(driverNames(), ", ")
}

// media counts what the folder holds.
func (d *doctor) media(ctx context.Context) {
	if d.cfg.media == "" {
		d.add("media", levelNote, "no folder, the built-in chimes only", "name a folder of music with --media")
		return
	}
	if err := checkMedia(d.cfg); err != nil {
		d.add("media", levelProblem, oneLine(err), "name a folder that can be read with --media")
		return
	}
	lib, err := library.Open(ctx, library.Config{Dir: d.cfg.media, Log: zerolog.Nop()})
	if err != nil {
		d.add("media", levelProblem, oneLine(err), "name a folder that can be read with --media")
		return
	}
	defer func() { _ = lib.Close() }()
	more := ""
	select {
	case <-lib.Ready():
	case <-time.After(countTime):
		more = " so far"
	case <-ctx.Done():
		return
	}
	_, count := lib.List("", 0, 1)
	d.add("media", levelOK, fmt.Sprintf("%s in %s%s, chimes included", counted(count, "piece"), d.cfg.media, more), "")
}

// decoder looks for the decoder of last resort.
func (d *doctor) decoder(ctx context.Context) {
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		d.add("ffmpeg", levelNote, "not found: wav, mp3, flac and ogg vorbis play without it", "install ffmpeg for other formats")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "-version").Output() //nolint:gosec // what LookPath found
	first, _, _ := strings.Cut(string(out), "\n")
	if err != nil {
		d.add("ffmpeg", levelWarning, path+" does not run: "+err.Error(), "install it anew; wav, mp3, flac and ogg vorbis play without it")
		return
	}
	first, _, _ = strings.Cut(first, " Copyright")
	d.add("ffmpeg", levelOK, path+", "+strings.TrimSpace(first), "")
}

// speech tries what would say texts.
func (d *doctor) speech(ctx context.Context) {
	engine := d.cfg.speech.engine
	switch {
	case engine == nil && d.cfg.speech.auto:
		d.add("speech", levelNote, speech.ErrNoEngine.Error(), "install espeak-ng (a hub that runs finds it at its next start), or name another engine with --speech")
		return
	case engine == nil:
		d.add("speech", levelNote, "none, as configured", "")
		return
	}
	if err := engine.Check(ctx); err != nil {
		d.add("speech", levelWarning, engine.Name()+": "+oneLine(err), "correct --speech, or start or install what it names")
		return
	}
	d.add("speech", levelOK, engine.Name(), "")
}

// page is the findings for a person.
func (d *doctor) page() string {
	var s strings.Builder
	width := 0
	for _, f := range d.findings {
		width = max(width, len(f.Check))
	}
	for _, f := range d.findings {
		fmt.Fprintf(&s, "%-8s %-*s  %s\n", f.Level, width, f.Check, f.Found)
		if f.Do != "" {
			fmt.Fprintf(&s, "%-8s %-*s  → %s\n", "", width, "", f.Do)
		}
	}
	return s.String()
}
