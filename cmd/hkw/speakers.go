package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"hkw/bridge"
	"hkw/speaker"
)

// speakerSpec is one configured speaker.
type speakerSpec struct {
	name     string
	driver   string
	argument string // as the driver takes it
	origin
}

// discoverTime is how long the start waits for a sound server to say what it has.
const discoverTime = time.Second

// allSpeakers is what commands call every speaker; none can be named so.
const allSpeakers = "all"

// parseSpeakers reads texts of the form NAME=DRIVER[:ARGUMENT].
func parseSpeakers(texts []sourced) ([]speakerSpec, error) {
	var specs []speakerSpec
	for _, t := range texts {
		name, rest, ok := strings.Cut(t.text, "=")
		driver, argument, _ := strings.Cut(rest, ":")
		s := speakerSpec{name, driver, argument, t.origin}
		switch k, known := driverByName(driver); {
		case !ok || driver == "":
			return nil, t.refuse("NAME=DRIVER[:ARGUMENT] such as kitchen=pulse:kitchen_sink", t.text)
		case !bridge.ValidID(name) || name == allSpeakers:
			return nil, usageError("%s: a speaker's name must be 1 to 64 letters, digits, _ or -, and not %s, not %q", t.label, allSpeakers, name)
		case slices.ContainsFunc(specs, func(other speakerSpec) bool { return other.name == name }):
			return nil, usageError("%s: the speaker %q is given twice", t.label, name)
		case !known:
			return nil, usageError("%s: speaker %q: there is no driver %q here; the drivers are %s", t.label, name, driver, strings.Join(driverNames(), ", "))
		case k.needs && argument == "":
			return nil, usageError("%s: speaker %q: the driver %s needs %s, as in %s=%s:%s", t.label, name, driver, k.argument, name, driver, k.example)
		case k.argument == "" && argument != "":
			return nil, usageError("%s: speaker %q: the driver %s takes no argument, not %q", t.label, name, driver, argument)
		case k.check != nil:
			if err := k.check(argument); err != nil {
				return nil, usageError("%s: speaker %q: %v", t.label, name, err)
			}
		}
		specs = append(specs, s)
	}
	return specs, nil
}

func driverByName(name string) (driverKind, bool) {
	for _, k := range drivers {
		if k.name == name {
			return k, true
		}
	}
	return driverKind{}, false
}

func driverNames() []string {
	var names []string
	for _, k := range drivers {
		names = append(names, k.name)
	}
	return names
}

// output is what a hub is heard through.
type output struct {
	speakers []speaker.Setup
	discover []speaker.Driver
	warnings map[string]string // by speaker
	opened   map[string]speaker.Driver
}

// driver gives the hub's driver of a name, made when first asked for. Each hub
// has its own, since a driver tells one listener about changes.
func (o *output) driver(name string, log zerolog.Logger) speaker.Driver {
	if d, ok := o.opened[name]; ok {
		return d
	}
	k, _ := driverByName(name)
	d := k.open(log)
	o.opened[name] = d
	return d
}

// close closes the drivers.
func (o *output) close() error {
	var errs []error
	for _, d := range o.opened {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// silence is what the status of a hub without any sound output says.
const silence = "no sound output was found: nothing is heard; `hkw doctor` says what to do"

// openOutput makes the drivers of a hub: for the configured speakers, else for
// what can be found. What cannot be opened now is no error; the engine goes on trying.
func openOutput(ctx context.Context, hub hubConfig, env environment, log zerolog.Logger) *output {
	o := &output{opened: map[string]speaker.Driver{}, warnings: map[string]string{}}
	for _, s := range hub.speakers {
		o.speakers = append(o.speakers, speaker.Setup{ID: s.name, Name: s.name, Driver: o.driver(s.driver, log), Target: s.target(env)})
	}
	if hub.speakers != nil {
		return o
	}
	var missing []error
	for _, k := range drivers {
		if !k.discover {
			continue
		}
		d := o.driver(k.name, log)
		o.discover = append(o.discover, d)
		_, err := targets(ctx, d)
		if err == nil {
			return o
		}
		missing = append(missing, err)
	}
	if platformDriver != "" {
		o.speakers = []speaker.Setup{{ID: "default", Name: "default output", Driver: o.driver(platformDriver, log)}}
		return o
	}
	o.speakers = []speaker.Setup{{ID: driverNull, Name: "nothing is heard", Driver: o.driver(driverNull, log)}}
	o.warnings[driverNull] = silence
	log.Warn().Err(errors.Join(missing...)).Str("hub", hub.name).Msg("NO SOUND: no sound output was found, the hub plays into the void; `hkw doctor` says what to do")
	return o
}

// target is a speaker's argument with paths made whole.
func (s speakerSpec) target(env environment) string {
	if k, _ := driverByName(s.driver); k.isPath {
		return env.path(s.argument, s.base)
	}
	return s.argument
}

// targets asks a driver what it can reach; none at all is an error.
func targets(ctx context.Context, d speaker.Driver) ([]speaker.Target, error) {
	ctx, cancel := context.WithTimeout(ctx, discoverTime)
	defer cancel()
	found, err := d.Targets(ctx)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s on %s has no output", d.Name(), runtime.GOOS)
	}
	return found, err
}
